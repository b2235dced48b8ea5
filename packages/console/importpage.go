package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/imports"
	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// maxImport bounds what is pasted for an import, in bytes, as it travels: a form's escapes make it longer.
const maxImport = 3 << 20

// importView is the page that takes over what an AlexaCamProxy4P3 or a signage player had.
type importView struct {
	// Plugin, Items, Player and Certificate are as pasted.
	Plugin, Items, Player, Certificate string
	Looked                             bool
	Nothing                            bool
	Notes                              []importNote
	Cameras                            []string
	Accounts                           []string
	Access                             []string
	Screen                             []string
	Replaced                           []string
	Refused                            int
}

type importNote struct {
	Where, Key, Outcome, Tone, Text string
}

func (c *console) importPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.render(w, r, http.StatusOK, "import", page{Title: "Import", User: id, Body: importView{}})
}

// takeImport looks at what was pasted, and with the second button takes it over.
func (c *console) takeImport(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.formOf(w, r, maxImport) {
		return
	}
	v := importView{
		Plugin: r.PostFormValue("plugin"), Items: r.PostFormValue("items"), Player: r.PostFormValue("player"), Certificate: r.PostFormValue("certificate"), Looked: true,
	}
	var files []imports.File
	for _, f := range []imports.File{
		{Name: "plugin.yaml", Content: []byte(v.Plugin)}, {Name: "items", Content: []byte(v.Items)},
		{Name: "app_config.json", Content: []byte(v.Player)}, {Name: "certificate", Content: []byte(v.Certificate)},
	} {
		if strings.TrimSpace(string(f.Content)) != "" {
			files = append(files, f)
		}
	}
	found := imports.Read(files...)
	if r.PostFormValue("take") != "" && !found.Empty() {
		c.applyImport(w, r, id, found)
		return
	}
	if err := c.describeImport(r.Context(), &v, found); err != nil {
		c.failed(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "import", page{Title: "Import", User: id, Body: v})
}

// describeImport says what an import would bring.
func (c *console) describeImport(ctx context.Context, v *importView, found imports.Result) error {
	have, err := c.cameras(ctx, c.store.r)
	if err != nil {
		return err
	}
	ids := map[string]string{}
	for _, cam := range have {
		ids[cam.ID] = cam.Name
	}
	v.Nothing, v.Refused = found.Empty(), found.Refused()
	for _, n := range found.Notes {
		note := importNote{Where: n.File, Key: n.Key, Outcome: string(n.Outcome), Tone: toneMuted, Text: n.Text}
		if n.Line > 0 {
			note.Where = fmt.Sprintf("%s, line %d", n.File, n.Line)
		}
		switch n.Outcome {
		case imports.Taken:
			note.Tone = toneGood
		case imports.Changed:
			note.Tone = toneBusy
		case imports.Refused:
			note.Tone = toneBad
		}
		v.Notes = append(v.Notes, note)
	}
	for _, cam := range found.Provision.Cameras {
		v.Cameras = append(v.Cameras, fmt.Sprintf("%s (%s)", cam.Name, cam.ID))
		if name, ok := ids[cam.ID]; ok {
			v.Replaced = append(v.Replaced, name)
		}
	}
	for _, a := range found.Provision.Accounts {
		v.Accounts = append(v.Accounts, a.User)
	}
	v.Screen = importedScreen(found.Provision.Player)
	a := found.Provision.Access
	if a.PublicName != "" {
		v.Access = append(v.Access, "public name "+a.PublicName)
	}
	if a.OnlyOwnNetwork != nil && *a.OnlyOwnNetwork {
		v.Access = append(v.Access, "allow list on")
	} else if a.OnlyOwnNetwork != nil {
		v.Access = append(v.Access, "allow list off")
	}
	if len(a.Allowed) > 0 {
		v.Access = append(v.Access, "allowed: "+strings.Join(a.Allowed, ", "))
	}
	return nil
}

// importedScreen says what an import brings for the own screen.
func importedScreen(p provision.Player) (list []string) {
	if p.Server != "" {
		list = append(list, "follows "+p.Server)
	}
	if p.Hostname != "" {
		list = append(list, "as "+p.Hostname)
	}
	if p.Orientation != "" {
		list = append(list, p.Orientation)
	}
	if p.Server == "" && p.Pin == "" && p.Trust == "" {
		return list
	}
	switch {
	case p.Pin != "":
		return append(list, "recognizes the server by its certificate")
	case p.Trust == settings.TrustPublic:
		return append(list, "only public authorities vouch for the server")
	}
	return append(list, "pins the server’s certificate at the first connection")
}

// applyImport takes everything over in one transaction and says what was left out.
func (c *console) applyImport(w http.ResponseWriter, r *http.Request, id identity.Identity, found imports.Result) {
	cameras, problems := c.provisionedCameras(found.Provision.Cameras)
	accounts, wrong := provisionedAccounts(found.Provision.Accounts)
	problems = append(problems, wrong...)
	// How the screen hangs goes first, in a transaction of its own: if the rest fails, it is done once more.
	noScreen, err := c.provisionScreens(r.Context(), provision.File{Player: found.Provision.Player})
	if err != nil {
		c.failed(w, r, err)
		return
	}
	problems = append(problems, noScreen...)
	err = c.store.change(r.Context(), func(tx *sql.Tx) error {
		if err := provisionCameras(r.Context(), tx, cameras); err != nil {
			return err
		}
		unknown, err := provisionAccounts(r.Context(), tx, accounts)
		if err != nil {
			return err
		}
		noTrust, err := provisionPlayer(r.Context(), tx, found.Provision.Player)
		if err != nil {
			return err
		}
		problems = append(problems, unknown...)
		problems = append(problems, noTrust...)
		return provisionAccess(r.Context(), tx, found.Provision.Access)
	})
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.log.Info("imported", "cameras", len(cameras), "accounts", len(accounts), "refused", found.Refused()+len(problems), "account", id.User)
	text := fmt.Sprintf("Taken over: cameras %d, RTSP accounts %d.", len(cameras), len(accounts))
	if server := found.Provision.Player.Server; server != "" {
		text += " The screen follows " + server + "."
	}
	if n := found.Refused(); n > 0 {
		text += fmt.Sprintf(" Lines refused: %d.", n)
	}
	c.back(w, r, "/", text+problemsText(problems))
}

func problemsText(problems []provision.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, " Left out: %s: %s.", p.Key, p.Reason)
	}
	return b.String()
}
