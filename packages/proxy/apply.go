package main

import (
	"net/netip"
	"strconv"

	"porthole/media/rtsp"
	"porthole/packages/internal/settings"
	"porthole/packages/proxy/allow"
)

// apply takes new settings. What did not change goes on: a camera's readers do not notice another camera.
func (p *proxy) apply(s settings.Proxy) {
	sources := make([]rtsp.Source, 0, len(s.Cameras))
	for _, c := range s.Cameras {
		sources = append(sources, streams(c)...)
	}
	accounts := make([]rtsp.Account, 0, len(s.Accounts))
	for _, a := range s.Accounts {
		accounts = append(accounts, rtsp.Account{User: a.User, HA1: a.HA1, HA1SHA256: a.HA1SHA256})
	}
	p.hub.SetSources(sources)
	p.hub.SetAccounts(accounts)
	p.hub.SetOpen(p.openNetworks(s.Access.Open))
	p.allow.Set(allow.Rules{Restricted: s.Access.Restricted, PublicName: s.PublicName, Allowed: s.Access.Allowed})
	trusted := s.Access.TrustedNetworks()
	p.trusted.Store(&trusted)
	p.http.want(s.PlainHTTP)
	p.test.want(s.TestSocket)
	p.Env.Log.Info("settings applied", "revision", s.Revision, "cameras", len(s.Cameras), "streams", len(sources), "accounts", len(accounts))
}

// streams are a camera's: "ID", "ID/2" and "ID/3".
func streams(c settings.Camera) []rtsp.Source {
	var list []rtsp.Source
	for i, url := range append([]string{c.URL}, c.MoreURLs...) {
		src := rtsp.Source{
			ID: c.ID, URL: url, User: c.User, Password: c.Password, Transport: string(c.Transport),
			Auth: rtsp.Auth(c.Auth), AlwaysOn: c.AlwaysOn, Options: rtsp.Options(c.Options),
		}
		if i > 0 {
			src.ID += "/" + strconv.Itoa(i+1)
		}
		if i < len(c.TokenHashes) {
			src.TokenHash = c.TokenHashes[i]
		}
		list = append(list, src)
	}
	return list
}

// openNetworks reads the networks that need no account. console has checked them; one that cannot be read opens nothing.
func (p *proxy) openNetworks(list []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		network, err := netip.ParsePrefix(s)
		if err != nil {
			p.Env.Log.Warn("an open network cannot be read; it stays closed", "network", s, "err", err)
			continue
		}
		out = append(out, network)
	}
	return out
}
