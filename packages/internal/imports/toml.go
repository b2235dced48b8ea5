package imports

import (
	"fmt"
	"strings"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// TOML writes a porthole.toml that asks for everything that was taken over.
func (r Result) TOML() []byte {
	var b strings.Builder
	set := func(key, value string) { setText(&b, key, value) }
	p := r.Provision
	b.WriteString("# Made by porthole import. Copy it to the boot partition of the card; its passwords leave it once they are taken over.\n")
	b.WriteString("# To set the console's password as well, take the # away from the next two lines.\n#[admin]\n#password = \"\"\n")
	if a := p.Access; a.PublicName != "" || a.OnlyOwnNetwork != nil || len(a.Allowed) > 0 {
		b.WriteString("\n[access]\n")
		set("public_name", a.PublicName)
		if a.OnlyOwnNetwork != nil {
			fmt.Fprintf(&b, "only_own_network = %t\n", *a.OnlyOwnNetwork)
		}
		set("allowed", strings.Join(a.Allowed, " "))
	}
	if !p.Player.Empty() {
		writePlayer(&b, p.Player)
	}
	for _, a := range p.Accounts {
		b.WriteString("\n[[account]]\n")
		set("user", a.User)
		set("password", a.Password)
	}
	for _, c := range p.Cameras {
		b.WriteString("\n[[camera]]\n")
		set("id", c.ID)
		set("name", c.Name)
		set("url", c.URL)
		for i, u := range c.MoreURLs {
			set(fmt.Sprintf("url%d", i+2), u)
		}
		set("user", c.User)
		set("password", c.Password)
		if c.Transport != settings.Auto {
			set("transport", string(c.Transport))
		}
		if c.Auth != settings.AnyAuth {
			set("auth", string(c.Auth))
		}
		if c.AlwaysOn {
			b.WriteString("always_on = true\n")
		}
		set("options", provision.FormatOptions(c.Options))
	}
	return []byte(b.String())
}

func setText(b *strings.Builder, key, value string) {
	if value != "" {
		fmt.Fprintf(b, "%s = %s\n", key, quote(value))
	}
}

// writePlayer writes what an app_config.json can say of the screen.
func writePlayer(b *strings.Builder, p provision.Player) {
	b.WriteString("\n[player]\n")
	setText(b, "show", string(p.Show))
	setText(b, "server", p.Server)
	setText(b, "hostname", p.Hostname)
	setText(b, "quickconnect_code", p.QuickConnectCode)
	setText(b, "orientation", p.Orientation)
	for _, n := range []struct {
		key   string
		value int
	}{{"timeout", p.Timeout}, {"retry_attempts", p.RetryAttempts}, {"retry_delay", p.RetryDelay}} {
		if n.value != 0 {
			fmt.Fprintf(b, "%s = %d\n", n.key, n.value)
		}
	}
	setText(b, "trust", string(p.Trust))
	if p.Pin != "" {
		// PEM: base64 and dashes.
		fmt.Fprintf(b, "pin = '''\n%s'''\n", p.Pin)
	}
}

// quote writes a TOML basic string; plain has kept control characters out.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
