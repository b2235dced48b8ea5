package bootpart

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes of the file system. 2 KiB clusters: with larger ones, 256 MiB would have too few for FAT32.
const (
	sectorSize        = 512
	clusterSectors    = 4
	clusterSize       = clusterSectors * sectorSize
	fatEntry          = 4
	clustersPerSector = sectorSize / fatEntry // clusters that one sector of a FAT tells about

	firstCluster = 2 // the number of the first cluster
	minReserved  = 32
	fatAlign     = 8 // sectors: 4 KiB, the smallest that cards write at once

	// maxSectors bounds what Open believes: 1 GiB.
	maxSectors = 1 << 30 / sectorSize
	// minRegion is the smallest region: two sectors of a FAT.
	minRegion = 2 * clustersPerSector
)

// Geometry is how a partition is divided; all in bytes.
type Geometry struct {
	// Size is the partition's, Region that of each slot. Both are multiples of Align.
	Size, Region int64
	// Align is what each region is aligned to: 256 KiB, whose clusters fill one sector of a FAT, or a multiple of it.
	Align int64
}

// Standard is the layout of the images: 256 MiB, of which each slot has 104, aligned to the erase blocks of SD cards. The
// Raspberry Pi's slot needs 49 MB today, what lies outside of the slots 6 of 44.
func Standard() Geometry {
	return Geometry{Size: 256 << 20, Region: 104 << 20, Align: 4 << 20}
}

// region is where a slot lies: count clusters from start.
type region struct{ start, count uint32 }

func (r region) has(cluster uint32) bool { return cluster >= r.start && cluster-r.start < r.count }

// layout is where everything lies: counts of sectors, numbers of clusters.
type layout struct {
	total, reserved, fat uint32
	clusters             uint32 // all of them; the last one's number is one more
	root                 uint32
	slots                [2]region
}

// layout divides the partition: reserved sectors and two FATs, then what lies outside of the slots, then the slots. With
// its first cluster 4 KiB behind a multiple of Align, so is cluster 0 at one, and a cluster's number times its size counts from there.
func (g Geometry) layout() (layout, error) {
	const unit = clustersPerSector * clusterSize
	if g.Align <= 0 || g.Align%unit != 0 || g.Size%g.Align != 0 || g.Region%g.Align != 0 || g.Region < minRegion*clusterSize || g.Size > maxSectors*sectorSize {
		return layout{}, errors.New("sizes of a boot partition must be multiples of its alignment, and that of 256 KiB")
	}
	l := layout{total: uint32(g.Size / sectorSize), root: firstCluster}
	for origin := g.Align; origin < g.Size; origin += g.Align {
		data := uint32(origin/sectorSize) + firstCluster*clusterSectors
		l.clusters = (l.total - data) / clusterSectors
		l.fat = (l.clusters+firstCluster+clustersPerSector-1)/clustersPerSector + fatAlign - 1
		l.fat -= l.fat % fatAlign
		if data < 2*l.fat+minReserved {
			continue
		}
		l.reserved = data - 2*l.fat
		count, end := uint32(g.Region/clusterSize), l.clusters+firstCluster
		if uint64(end) < 2*uint64(count)+unit/clusterSize {
			break
		}
		l.slots = [2]region{{end - 2*count, count}, {end - count, count}}
		return l, nil
	}
	return layout{}, fmt.Errorf("a boot partition of %d bytes has no room for two slots of %d", g.Size, g.Region)
}

// at returns where a cluster lies on the medium.
func (l layout) at(cluster uint32) int64 {
	return (int64(l.reserved) + 2*int64(l.fat) + int64(cluster-firstCluster)*clusterSectors) * sectorSize
}

// fatAt returns where a FAT (0 or 1) tells about the cluster that begins a sector.
func (l layout) fatAt(copyNumber int, cluster uint32) int64 {
	return (int64(l.reserved) + int64(copyNumber)*int64(l.fat) + int64(cluster/clustersPerSector)) * sectorSize
}

// valid tells whether there is such a cluster.
func (l layout) valid(cluster uint32) bool {
	return cluster >= firstCluster && cluster-firstCluster < l.clusters
}

// Fields of the boot sector (Microsoft FAT specification 1.03, section 3.1 and 3.3).
const (
	infoSector   = 1
	backupSector = 6
)

// bootSector encodes the layout.
func (l layout) bootSector(serial uint32, start int64) []byte {
	b := make([]byte, sectorSize)
	copy(b, []byte{0xeb, 0x58, 0x90})
	copy(b[3:], "MSWIN4.1")
	le := binary.LittleEndian
	le.PutUint16(b[11:], sectorSize)
	b[13] = clusterSectors
	le.PutUint16(b[14:], uint16(l.reserved))
	b[16] = 2                  // FATs
	b[21] = 0xf8               // not removable
	le.PutUint16(b[24:], 63)   // sectors of a track
	le.PutUint16(b[26:], 0xff) // heads
	le.PutUint32(b[28:], uint32(start/sectorSize))
	le.PutUint32(b[32:], l.total)
	le.PutUint32(b[36:], l.fat)
	le.PutUint32(b[44:], l.root)
	le.PutUint16(b[48:], infoSector)
	le.PutUint16(b[50:], backupSector)
	b[64] = 0x80 // drive
	b[66] = 0x29 // the next three are there
	le.PutUint32(b[67:], serial)
	copy(b[71:], volumeLabel)
	copy(b[82:], "FAT32   ")
	// x86: int 18h, "no boot device", for a BIOS that starts this sector.
	copy(b[90:], []byte{0xcd, 0x18, 0xeb, 0xfe})
	b[510], b[511] = 0x55, 0xaa
	return b
}

// infoSectorBytes encodes FSINFO: how many clusters are free, and from where to look for one.
func infoSectorBytes(free, next uint32) []byte {
	b := make([]byte, sectorSize)
	le := binary.LittleEndian
	copy(b, "RRaA")
	copy(b[484:], "rrAa")
	le.PutUint32(b[488:], free)
	le.PutUint32(b[492:], next)
	b[510], b[511] = 0x55, 0xaa
	return b
}

// parseBootSector reads the layout but for the slots, and checks that it is one that Format makes.
func parseBootSector(b []byte) (layout, error) {
	le := binary.LittleEndian
	l := layout{
		total: le.Uint32(b[32:]), reserved: uint32(le.Uint16(b[14:])), fat: le.Uint32(b[36:]), root: le.Uint32(b[44:]),
	}
	switch {
	case b[510] != 0x55 || b[511] != 0xaa || le.Uint16(b[22:]) != 0:
		return l, errors.New("there is no FAT32 on it")
	case le.Uint16(b[11:]) != sectorSize || b[13] != clusterSectors || b[16] != 2 || b[40]&0x80 != 0:
		return l, errors.New("its sectors, clusters or FATs are others")
	case l.total > maxSectors || l.fat > maxSectors || l.reserved == 0:
		return l, errors.New("its size cannot be")
	}
	data := l.reserved + 2*l.fat
	if data >= l.total {
		return l, errors.New("its FATs leave no room")
	}
	l.clusters = (l.total - data) / clusterSectors
	if l.clusters < 2*minRegion || (l.clusters+firstCluster+clustersPerSector-1)/clustersPerSector > l.fat || !l.valid(l.root) {
		return l, errors.New("its FATs do not tell about all of it")
	}
	return l, nil
}
