package main

import (
	"database/sql"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// ownDisplayForm is how the screen shows things, and when, as it was typed.
type ownDisplayForm struct {
	Orientations, Modes, Offs []choice
	Rows                      []hoursRow
	Log                       bool
	Zone                      string
	Errors                    fieldErrors
}

// hoursRow is a line of the hours; the last one is for new ones.
type hoursRow struct {
	// N counts from 0 and is in the fields' names, Label from 1.
	N, Label int
	Days     []choice
	From, To string
	New      bool
	Error    string
}

func newOwnDisplayForm(f ownFacts) ownDisplayForm {
	v := ownDisplayForm{Log: f.settings.Log}
	for _, h := range f.settings.Hours {
		v.Rows = append(v.Rows, hoursRow{Days: dayChoices(h.Weekdays), From: clockText(h.FromMinute), To: clockText(h.ToMinute % 1440)})
	}
	v.fill(f, f.settings)
	return v
}

func dayChoices(days uint8) (list []choice) {
	for i, name := range dayNames {
		list = append(list, choice{Value: strconv.Itoa(i), Text: name, Chosen: days&(1<<i) != 0})
	}
	return list
}

// fill adds what is not typed, with what was chosen.
func (v *ownDisplayForm) fill(f ownFacts, chosen settings.PlayerSettings) {
	v.Zone = f.zoneName
	orientation := chosen.Orientation
	if orientation == "" {
		orientation = settings.Orientations()[0]
	}
	v.Orientations = orientationChoices(orientation)
	v.Modes = modeChoices(f.screen.Display.Modes, chosen.Mode)
	for _, o := range []choice{
		{Value: string(settings.OffSignal), Text: "No signal: the display goes to sleep"},
		{Value: string(settings.OffBlack), Text: "A black picture, for displays that do not wake up again"},
	} {
		o.Chosen = o.Value == string(chosen.Off) || chosen.Off == "" && o.Value == string(settings.OffSignal)
		v.Offs = append(v.Offs, o)
	}
	if len(v.Rows) < settings.MaxHours {
		v.Rows = append(v.Rows, hoursRow{Days: dayChoices(0), New: true})
	}
	for i := range v.Rows {
		v.Rows[i].N, v.Rows[i].Label = i, i+1
	}
}

// modeChoices are the display's own choice, what it offers, and what is set.
func modeChoices(offered []string, chosen string) []choice {
	list := []choice{{Value: "", Text: "the display’s own choice", Chosen: chosen == ""}}
	for _, text := range offered {
		m, ok := settings.ParseMode(text)
		if v := m.String(); ok && !slices.ContainsFunc(list, func(c choice) bool { return c.Value == v }) {
			list = append(list, choice{Value: v, Text: modeWords(m), Chosen: v == chosen})
		}
	}
	if m, ok := settings.ParseMode(chosen); ok && !slices.ContainsFunc(list, func(c choice) bool { return c.Chosen }) {
		list = append(list, choice{Value: chosen, Text: modeWords(m) + " (not offered by this display)", Chosen: true})
	}
	return list
}

func modeWords(m settings.Mode) string {
	text := strconv.Itoa(m.Width) + " × " + strconv.Itoa(m.Height)
	if m.RefreshMilliHz > 0 {
		text += ", " + strconv.FormatFloat(float64(m.RefreshMilliHz)/1000, 'f', -1, 64) + " Hz"
	}
	return text
}

// readHours takes the rows that were typed; those that are empty or to be dropped are not among them.
func (v *ownDisplayForm) readHours(r *http.Request) (list []settings.Hours) {
	for n := range settings.MaxHours {
		field := func(name string) string { return "h" + strconv.Itoa(n) + "_" + name }
		row := hoursRow{From: strings.TrimSpace(r.PostFormValue(field("from"))), To: strings.TrimSpace(r.PostFormValue(field("to")))}
		var days uint8
		for _, d := range r.PostForm[field("day")] {
			if i, err := strconv.Atoi(d); err == nil && i >= 0 && i < 7 {
				days |= 1 << i
			}
		}
		row.Days = dayChoices(days)
		if r.PostFormValue(field("drop")) != "" || row.From == "" && row.To == "" && days == 0 {
			continue
		}
		from, okFrom := clockMinutes(row.From)
		to, okTo := clockMinutes(row.To)
		switch {
		case !okFrom || !okTo:
			row.Error = "give both times, like 08:00 and 20:00"
		case days == 0:
			row.Error = "mark at least one day"
		}
		if row.Error != "" {
			v.Errors["hours"] = row.Error
		}
		v.Rows = append(v.Rows, row)
		list = append(list, settings.Hours{Weekdays: days, FromMinute: from, ToMinute: to})
	}
	return list
}

// clockMinutes reads what an input of type time holds.
func clockMinutes(text string) (int, bool) {
	hour, minute, ok := strings.Cut(text, ":")
	h, errH := strconv.Atoi(hour)
	m, errM := strconv.Atoi(minute)
	if !ok || errH != nil || errM != nil || h < 0 || h > 23 || m < 0 || m > 59 {
		return 0, false
	}
	return h*60 + m, true
}

// saveOwnDisplay takes how and when the screen shows things.
func (c *console) saveOwnDisplay(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	f, err := c.ownFacts(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := ownDisplayForm{Errors: fieldErrors{}, Log: r.PostFormValue("log") != ""}
	s := f.settings
	s.Orientation, s.Mode, s.Off, s.Log = r.PostFormValue("orientation"), r.PostFormValue("mode"), settings.Off(r.PostFormValue("off")), v.Log
	s.Hours = v.readHours(r)
	typed := s
	if len(v.Errors) > 0 {
		s.Hours = nil // what is wrong with them is said already
	}
	s, wrong := s.Normalize()
	for _, e := range wrong {
		v.Errors.add(e)
	}
	if len(v.Errors) > 0 {
		v.fill(f, typed)
		c.showOwn(w, r, http.StatusUnprocessableEntity, id, f, newOwnServerForm(f), v)
		return
	}
	if err := c.turnOwn(r, s.Orientation); err != nil {
		c.failed(w, r, err)
		return
	}
	if err := c.store.change(r.Context(), func(tx *sql.Tx) error { return putPlayerSettings(r.Context(), tx, s) }); err != nil {
		c.failed(w, r, err)
		return
	}
	c.log.Info("the screen's display changed", "orientation", s.Orientation, "mode", s.Mode, "hours", settings.FormatHours(s.Hours), "off", string(s.Off), "log", s.Log, "account", id.User)
	c.back(w, r, "/screen", "Saved. The screen follows at once.")
}

// turnOwn keeps how the own screen hangs, where that is another way than before.
func (c *console) turnOwn(r *http.Request, orientation string) error {
	if orientation == "" {
		orientation = settings.Orientations()[0]
	}
	own, err := c.signage.Own(r.Context())
	if err != nil || own.Orientation == orientation {
		return err
	}
	own.Orientation = orientation
	return c.signage.UpdatePlayer(r.Context(), own)
}
