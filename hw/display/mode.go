package display

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"porthole/hw/internal/drm"
)

// mode translates a kernel mode.
func mode(m drm.ModeInfo) Mode {
	return Mode{
		Width: int(m.HDisplay), Height: int(m.VDisplay), RefreshMilliHz: refreshMilliHz(m), Name: drm.Text(m.Name),
		Preferred: m.Type&drm.ModeTypePreferred != 0, Interlaced: m.Flags&drm.ModeFlagInterlace != 0,
	}
}

// refreshMilliHz computes what the kernel only tells in whole hertz (drm_mode_vrefresh in drivers/gpu/drm/drm_modes.c).
// An interlaced mode counts fields.
func refreshMilliHz(m drm.ModeInfo) int {
	if m.HTotal == 0 || m.VTotal == 0 {
		return int(m.VRefresh) * 1000
	}
	num, den := uint64(m.Clock)*1_000_000, uint64(m.HTotal)*uint64(m.VTotal)
	if m.Flags&drm.ModeFlagInterlace != 0 {
		num *= 2
	}
	if m.Flags&drm.ModeFlagDblScan != 0 {
		den *= 2
	}
	if m.VScan > 1 {
		den *= uint64(m.VScan)
	}
	return int((num + den/2) / den)
}

// cea1080p60 is what nearly every television and monitor takes: 1920×1080 at 60 Hz, 148.5 MHz (CTA-861, video
// identification code 16).
func cea1080p60() drm.ModeInfo {
	m := drm.ModeInfo{
		Clock:    148500,
		HDisplay: 1920, HSyncStart: 2008, HSyncEnd: 2052, HTotal: 2200,
		VDisplay: 1080, VSyncStart: 1084, VSyncEnd: 1089, VTotal: 1125,
		VRefresh: 60,
		Flags:    drm.ModeFlagPHSync | drm.ModeFlagPVSync | drm.ModeFlagAspect169,
		Type:     drm.ModeTypeDriver,
	}
	copy(m.Name[:], "1920x1080")
	return m
}

// candidates orders the modes of a connector by how much they are wanted; the first that the hardware accepts is taken.
//
// The order: the caller's own mode; one given on the kernel's command line; the display's preferred size (or a smaller
// one, see forMotion), fastest first; everything else, largest first; interlaced modes. A display that does not say what it can show (see silent) is
// tried at 1080p before what the kernel guesses for it, 1024×768 and less.
func candidates(modes []drm.ModeInfo, wanted Mode, silent bool) []drm.ModeInfo {
	list := slices.Clone(modes)
	if silent {
		list = append(list, cea1080p60())
	}
	var best drm.ModeInfo
	if i := slices.IndexFunc(list, preferred); i >= 0 {
		best = list[i]
	} else if silent {
		best = cea1080p60()
	} else {
		best = largest(list)
	}
	best = forMotion(list, best)
	rank := func(m drm.ModeInfo) int {
		switch {
		case matches(mode(m), wanted):
			return 0
		case m.Type&drm.ModeTypeUserDef != 0:
			return 1
		case m.Flags&drm.ModeFlagInterlace != 0:
			return 4
		case sameSize(m, best):
			return 2
		}
		return 3
	}
	miss := func(m drm.ModeInfo) int { // how far from the wanted rate
		if wanted.RefreshMilliHz == 0 {
			return 0
		}
		return max(refreshMilliHz(m), wanted.RefreshMilliHz) - min(refreshMilliHz(m), wanted.RefreshMilliHz)
	}
	slices.SortStableFunc(list, func(a, b drm.ModeInfo) int {
		order := cmp.Compare(rank(a), rank(b))
		if order == 0 && rank(a) == 0 {
			order = cmp.Compare(miss(a), miss(b))
		}
		return cmp.Or(order, cmp.Compare(area(b), area(a)), cmp.Compare(refreshMilliHz(b), refreshMilliHz(a)))
	})
	return list
}

// smoothMilliHz is the least rate at which television's 50 pictures a second are seen, less half a hertz for those that
// are written 50 and are not.
const smoothMilliHz = 49_500

func smooth(m drm.ModeInfo) bool {
	return m.Flags&drm.ModeFlagInterlace == 0 && refreshMilliHz(m) >= smoothMilliHz
}

// forMotion returns best, or what serves video better: a television prefers 3840×2160, and a Pi 4 drives that at 30 Hz
// only. Video is decoded in software, up to 1080p, so the pixels would show nothing more and half of the motion would be
// lost. So a size above 1080p is the display's own choice only at 50 Hz or faster; else it is the largest smaller one that
// is, of the same shape or 1920×1080. Where there is none, best stays.
func forMotion(modes []drm.ModeInfo, best drm.ModeInfo) drm.ModeInfo {
	full := cea1080p60()
	fast := func(m drm.ModeInfo) bool { return sameSize(m, best) && smooth(m) }
	if area(best) <= area(full) || slices.ContainsFunc(modes, fast) {
		return best
	}
	pick := best
	for _, m := range modes {
		if !smooth(m) || area(m) < area(full) || area(m) > area(best) || !sameShape(m, best) && !sameSize(m, full) {
			continue
		}
		if sameSize(pick, best) || area(m) > area(pick) {
			pick = m
		}
	}
	return pick
}

// largest returns the largest mode that is not interlaced; its zero value if there is none.
func largest(modes []drm.ModeInfo) (best drm.ModeInfo) {
	for _, m := range modes {
		if m.Flags&drm.ModeFlagInterlace == 0 && area(m) > area(best) {
			best = m
		}
	}
	return best
}

func sameSize(a, b drm.ModeInfo) bool { return a.HDisplay == b.HDisplay && a.VDisplay == b.VDisplay }

func sameShape(a, b drm.ModeInfo) bool {
	return int(a.HDisplay)*int(b.VDisplay) == int(b.HDisplay)*int(a.VDisplay)
}

func preferred(m drm.ModeInfo) bool { return m.Type&drm.ModeTypePreferred != 0 }

func area(m drm.ModeInfo) int { return int(m.HDisplay) * int(m.VDisplay) }

// matches tells whether m is what was asked for. Half a hertz of difference is none: 59.94 is often written 60.
func matches(m, wanted Mode) bool {
	if wanted.Width == 0 || m.Width != wanted.Width || m.Height != wanted.Height {
		return false
	}
	diff := m.RefreshMilliHz - wanted.RefreshMilliHz
	return wanted.RefreshMilliHz == 0 && !m.Interlaced || wanted.RefreshMilliHz != 0 && diff <= 500 && diff >= -500
}

// modeNote says what is unusual about a chosen mode, for Info.
func modeNote(chosen, wanted Mode, silent bool) string {
	switch {
	case wanted.Width > 0 && !matches(chosen, wanted) && silent:
		return fmt.Sprintf("The display does not say what it can show, and %s does not work: %s is used.", wanted, chosen)
	case wanted.Width > 0 && !matches(chosen, wanted):
		return fmt.Sprintf("The display does not offer %s: %s is used.", wanted, chosen)
	case silent:
		return fmt.Sprintf("The display does not say what it can show (no valid EDID): %s is used.", chosen)
	}
	return ""
}

// String is for people, for example "1920x1080 at 59.94 Hz".
func (m Mode) String() string {
	s := fmt.Sprintf("%dx%d", m.Width, m.Height)
	if m.RefreshMilliHz != 0 {
		s += " at " + strings.TrimSuffix(fmt.Sprintf("%.2f", float64(m.RefreshMilliHz)/1000), ".00") + " Hz"
	}
	return s
}
