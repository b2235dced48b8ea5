package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
)

// ruleForm is the page that makes or changes a rule, with what was typed.
type ruleForm struct {
	New                bool
	ID                 int64
	Title, Name        string
	Playlists, Targets []choice
	FromDate, ToDate   string
	From, To           string
	Days               []choice
	Priorities         []choice
	Enabled            bool
	Zone               string
	Conflicts          []string
	Errors             fieldErrors
}

func (f scheduleFacts) ruleForm(r signage.Rule) ruleForm {
	v := ruleForm{ID: r.ID, New: r.ID == 0, Title: "Plan a playlist", Name: r.Name, Playlists: f.playlistChoices(r.Playlist),
		Targets: f.targetChoices(targetValue(r.Target)), FromDate: r.FromDate, ToDate: r.ToDate, From: clockText(r.FromMinute),
		To: clockText(r.ToMinute % 1440), Enabled: r.Enabled, Zone: f.zoneName, Errors: fieldErrors{}}
	if !v.New {
		v.Title = "Change the plan “" + ruleName(r) + "”"
	}
	for i, name := range dayNames {
		v.Days = append(v.Days, choice{Value: strconv.Itoa(i), Text: name, Chosen: r.Weekdays&(1<<i) != 0})
	}
	has := false
	for _, p := range priorities {
		v.Priorities = append(v.Priorities, choice{Value: strconv.Itoa(p.n), Text: p.text, Chosen: p.n == r.Priority})
		has = has || p.n == r.Priority
	}
	if !has && r.Priority != 0 {
		v.Priorities = append(v.Priorities, choice{Value: strconv.Itoa(r.Priority), Text: priorityText(r.Priority), Chosen: true})
	}
	return v
}

func (c *console) newRulePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	f, err := c.scheduleFacts(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	q := r.URL.Query()
	rule := signage.Rule{ToMinute: 1440, Weekdays: everyDay, Priority: normalPriority, Enabled: true}
	if t, ok := targetOf(q.Get("for")); ok && f.known(t) {
		rule.Target = t
	}
	rule.Playlist, _ = strconv.ParseInt(q.Get("playlist"), 10, 64)
	c.render(w, r, http.StatusOK, "rule", page{Title: "Plan a playlist", User: id, Body: f.ruleForm(rule)})
}

func (c *console) rulePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	rule, ok := named(c, w, r, c.signage.Rule)
	if !ok {
		return
	}
	f, err := c.scheduleFacts(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := f.ruleForm(rule)
	v.Conflicts = f.conflicts(rule, f.dateOf(time.Now()))
	c.render(w, r, http.StatusOK, "rule", page{Title: v.Title, User: id, Body: v})
}

// typedRule is what the form holds, and what is wrong with it that a rule cannot say.
func typedRule(r *http.Request) (signage.Rule, fieldErrors) {
	errs := fieldErrors{}
	get := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	rule := signage.Rule{Name: get("name"), FromDate: get("from_date"), ToDate: get("to_date"), Enabled: r.PostFormValue("enabled") != ""}
	if rule.Name == "" {
		errs["name"] = "give it a name, for example Lunch menu"
	}
	var err error
	if rule.Playlist, err = strconv.ParseInt(get("playlist"), 10, 64); err != nil {
		errs["playlist"] = "choose what is to play"
	}
	var ok bool
	if rule.Target, ok = targetOf(get("target")); !ok {
		errs["target"] = "choose all screens, one group or one screen"
	}
	for _, t := range []struct {
		field string
		to    *int
	}{{"from", &rule.FromMinute}, {"to", &rule.ToMinute}} {
		clock, err := time.Parse("15:04", get(t.field))
		if err != nil {
			errs[t.field] = "give a time like 11:30"
			continue
		}
		*t.to = clock.Hour()*60 + clock.Minute()
	}
	// Midnight as an end is the end of the day.
	if rule.ToMinute == 0 {
		rule.ToMinute = 1440
	}
	for _, d := range r.PostForm["day"] {
		if n, err := strconv.Atoi(d); err == nil && n >= 0 && n < 7 {
			rule.Weekdays |= 1 << n
		}
	}
	if rule.Weekdays == 0 {
		errs["weekdays"] = "mark at least one day"
	}
	if rule.Priority, err = strconv.Atoi(get("priority")); err != nil {
		errs["priority"] = "choose how important it is"
	}
	return rule, errs
}

// storeRule keeps a typed rule or shows the form again with what is wrong; false when it was answered.
func (c *console) storeRule(w http.ResponseWriter, r *http.Request, id identity.Identity, number int64) (signage.Rule, bool) {
	if !c.form(w, r) {
		return signage.Rule{}, false
	}
	rule, errs := typedRule(r)
	rule.ID = number
	var err error
	if len(errs) == 0 {
		if number == 0 {
			rule, err = c.signage.CreateRule(r.Context(), rule)
		} else {
			err = c.signage.UpdateRule(r.Context(), rule)
		}
	}
	if fe, ok := asFieldError(err); ok {
		fe.Field = strings.TrimSuffix(fe.Field, "_minute")
		errs.add(fe)
	} else if err != nil {
		c.signageFailed(w, r, err)
		return rule, false
	}
	if len(errs) > 0 {
		c.refuseRule(w, r, id, rule, number, errs)
		return rule, false
	}
	return rule, true
}

// refuseRule shows the form again, as it was typed.
func (c *console) refuseRule(w http.ResponseWriter, r *http.Request, id identity.Identity, rule signage.Rule, number int64, errs fieldErrors) {
	f, err := c.scheduleFacts(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	rule.ID = number
	v := f.ruleForm(rule)
	v.From, v.To, v.Errors = r.PostFormValue("from"), r.PostFormValue("to"), errs
	c.render(w, r, http.StatusUnprocessableEntity, "rule", page{Title: v.Title, User: id, Body: v})
}

func (c *console) newRule(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if rule, ok := c.storeRule(w, r, id, 0); ok {
		c.log.Info("rule made", "rule", rule.ID, "account", id.User)
		c.ruleSaved(w, r, rule, "planned")
	}
}

func (c *console) saveRule(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	n, ok := c.pathID(w, r, "id")
	if !ok {
		return
	}
	if rule, ok := c.storeRule(w, r, id, n); ok {
		c.log.Info("rule changed", "rule", rule.ID, "account", id.User)
		c.ruleSaved(w, r, rule, "saved")
	}
}

// ruleSaved goes to the schedule, at the first week in which the rule holds, and says what stands in its way.
func (c *console) ruleSaved(w http.ResponseWriter, r *http.Request, rule signage.Rule, done string) {
	text := fmt.Sprintf("“%s” is %s: %s.", ruleName(rule), done, strings.ToLower(whenText(rule)[:1])+whenText(rule)[1:])
	f, err := c.scheduleFacts(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	today := f.dateOf(time.Now())
	if p, ok := f.playlist(rule.Playlist); ok && p.Version == 0 {
		text += " Its playlist is not published yet: until it is, this plan shows nothing."
	}
	text = strings.Join(append([]string{text}, f.conflicts(rule, today)...), " ")
	to := "/schedule"
	if from, err := time.Parse(time.DateOnly, rule.FromDate); err == nil && from.After(today) {
		to += "?date=" + rule.FromDate
	}
	c.back(w, r, to, text)
}

func (c *console) dropRulePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	rule, ok := named(c, w, r, c.signage.Rule)
	if !ok {
		return
	}
	path := "/schedule/rules/" + strconv.FormatInt(rule.ID, 10)
	v := sureView{Title: "Delete the plan “" + ruleName(rule) + "”?", Says: []string{whenText(rule) + ". The playlist stays."},
		Action: path + "/delete", Button: "Delete", Back: path, Keep: "Keep it"}
	c.render(w, r, http.StatusOK, "sure", page{Title: v.Title, User: id, Body: v})
}

func (c *console) dropRule(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	n, ok := c.pathID(w, r, "id")
	if !ok {
		return
	}
	if err := c.signage.DeleteRule(r.Context(), n); err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("rule deleted", "rule", n, "account", id.User)
	c.back(w, r, "/schedule", "The plan was deleted.")
}
