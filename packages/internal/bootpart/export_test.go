package bootpart

// span is bytes of the medium, from one to before the other.
type Span [2]int64

// Has tells whether it has n bytes from at on.
func (s Span) Has(at int64, n int) bool { return at >= s[0] && at+int64(n) <= s[1] }

// Region returns what of the medium is a slot's: its clusters, and the sectors about them in both FATs.
func (p *Partition) Region(slot string) []Span {
	r, err := p.region(slot)
	if err != nil {
		panic(err)
	}
	end := r.start + r.count
	return []Span{
		{p.l.at(r.start), p.l.at(end)}, {p.l.fatAt(0, r.start), p.l.fatAt(0, end)}, {p.l.fatAt(1, r.start), p.l.fatAt(1, end)},
	}
}

// Entries returns where the folder of systemd-boot's entries lies, and where their texts do.
func (p *Partition) Entries() (folder Span, texts [2]Span) {
	l, err := p.vmLoader()
	if err != nil {
		panic(err)
	}
	at := func(i uint32) Span { return Span{p.l.at(l.folder + i), p.l.at(l.folder + i + 1)} }
	return at(0), [2]Span{at(1), at(2)}
}

// Configs returns where config.txt and tryboot.txt lie.
func (p *Partition) Configs() (config, tryboot Span) {
	l, err := p.piLoader()
	if err != nil {
		panic(err)
	}
	return Span{l.config, l.config + sectorSize}, Span{l.tryboot, l.tryboot + sectorSize}
}
