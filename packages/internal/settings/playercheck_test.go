package settings_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/settings"
)

// certificate returns a certificate and its private key in PEM.
func certificate(tb testing.TB) (cert, key string) {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		tb.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}))
}

const (
	sha   = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"
	colon = "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF"
)

// TestPlayerNormalize: what people type is completed, and each mistake is named by its field.
func TestPlayerNormalize(t *testing.T) {
	cert, key := certificate(t)
	type player = settings.PlayerSettings
	for name, c := range map[string]struct {
		in, want player
		wrong    string
	}{
		"program":           {in: player{Show: "program"}, want: player{Show: settings.ShowProgram}},
		"server":            {in: player{Server: " https://Signage.example.com/ "}, want: player{Server: "https://signage.example.com"}},
		"server and port":   {in: player{Server: "https://192.168.0.121:8443"}, want: player{Server: "https://192.168.0.121:8443"}},
		"no scheme":         {in: player{Server: "192.168.0.121"}, wrong: "server"},
		"path":              {in: player{Server: "https://h/digi"}, wrong: "server"},
		"credentials":       {in: player{Server: "https://u:p@h"}, wrong: "server"},
		"ftp":               {in: player{Server: "ftp://h"}, wrong: "server"},
		"hostname":          {in: player{Hostname: "a\nb"}, wrong: "hostname"},
		"code":              {in: player{QuickConnectCode: strings.Repeat("x", 201)}, wrong: "quickconnect_code"},
		"orientation":       {in: player{Orientation: "up"}, wrong: "orientation"},
		"numbers":           {in: player{Timeout: 300, RetryAttempts: 100, RetryDelay: 3600}, want: player{Timeout: 300, RetryAttempts: 100, RetryDelay: 3600}},
		"timeout":           {in: player{Timeout: 301}, wrong: "timeout"},
		"attempts":          {in: player{RetryAttempts: -1}, wrong: "retry_attempts"},
		"delay":             {in: player{RetryDelay: 3601}, wrong: "retry_delay"},
		"hex":               {in: player{Pin: sha}, want: player{Pin: colon}},
		"colons":            {in: player{Pin: strings.ToLower(colon), Trust: settings.TrustPinned}, want: player{Pin: colon, Trust: settings.TrustPinned}},
		"openssl":           {in: player{Pin: "SHA256 Fingerprint=" + colon}, want: player{Pin: colon}},
		"sha256:":           {in: player{Pin: "sha256:" + sha}, want: player{Pin: colon}},
		"certificate":       {in: player{Pin: "subject=x\r\n" + cert + cert}, want: player{Pin: cert + cert}},
		"short":             {in: player{Pin: sha[:62]}, wrong: "pin"},
		"key":               {in: player{Pin: cert + key}, wrong: "pin"},
		"cut":               {in: player{Pin: cert[:len(cert)/2]}, wrong: "pin"},
		"second one is cut": {in: player{Pin: cert + cert[:len(cert)/2]}, wrong: "pin"},
		"no certificate":    {in: player{Pin: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, wrong: "pin"},
		"everything":        {in: player{Pin: strings.Repeat(cert, 9)}, wrong: "pin"},
		"endless":           {in: player{Pin: strings.Repeat("A", settings.MaxPinSize+1)}, wrong: "pin"},
		"pinned to nothing": {in: player{Trust: settings.TrustPinned}, wrong: "trust"},
		"no verification":   {in: player{Trust: "none"}, wrong: "trust"},
		"mode":              {in: player{Mode: "1920 x 1080 @ 59.94 Hz"}, want: player{Mode: "1920x1080@59.94"}},
		"any rate":          {in: player{Mode: "3840x2160"}, want: player{Mode: "3840x2160"}},
		"no mode":           {in: player{Mode: "1080p"}, wrong: "mode"},
		"tiny":              {in: player{Mode: "100x100"}, wrong: "mode"},
		"off":               {in: player{Off: "cec"}, wrong: "off"},
		"hours": {
			in:   player{Hours: []settings.Hours{{Weekdays: 32, FromMinute: 60, ToMinute: 30}, {Weekdays: 31, FromMinute: 480}, {Weekdays: 31, FromMinute: 480, ToMinute: 1440}}},
			want: player{Hours: []settings.Hours{{Weekdays: 31, FromMinute: 480, ToMinute: 1440}, {Weekdays: 32, FromMinute: 60, ToMinute: 30}}},
		},
		"no day":         {in: player{Hours: []settings.Hours{{FromMinute: 60, ToMinute: 90}}}, wrong: "hours"},
		"eighth day":     {in: player{Hours: []settings.Hours{{Weekdays: 128, FromMinute: 60, ToMinute: 90}}}, wrong: "hours"},
		"after midnight": {in: player{Hours: []settings.Hours{{Weekdays: 1, FromMinute: 1440, ToMinute: 90}}}, wrong: "hours"},
		"too late":       {in: player{Hours: []settings.Hours{{Weekdays: 1, FromMinute: 1, ToMinute: 1441}}}, wrong: "hours"},
		"many hours":     {in: player{Hours: make([]settings.Hours, 15)}, wrong: "hours"},
	} {
		got, wrong := c.in.Normalize()
		if c.wrong != "" {
			if len(wrong) != 1 || wrong[0].Field != c.wrong || wrong[0].Reason == "" {
				t.Errorf("%s: %v, want a complaint of %s", name, wrong, c.wrong)
			}
			if d := cmp.Diff(c.in, got); d != "" {
				t.Errorf("%s is not as it was:\n%s", name, d)
			}
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" || wrong != nil {
			t.Errorf("%s: %v\n%s", name, wrong, d)
		}
	}
	if _, wrong := (player{Timeout: -1, Mode: "x", Trust: "y", Show: "z"}).Normalize(); len(wrong) != 4 {
		t.Errorf("of four mistakes, %v were named", wrong)
	}
}

func TestHours(t *testing.T) {
	for in, want := range map[string]string{
		"mon-fri 08:00-20:00; sat 10:00-02:00": "mon-fri 08:00-20:00; sat 10:00-02:00",
		"Monday, Wednesday 8:00-24:00":         "mon wed 08:00-24:00",
		"09:30-17:00":                          "09:30-17:00",
		"fri-mon 00:00-00:00":                  "mon fri-sun 00:00-24:00",
		" sun 22:00-06:00 ;; ;mon,tue 1:00-2:00; mon tue 01:00-02:00": "mon tue 01:00-02:00; sun 22:00-06:00",
	} {
		list, reason := settings.ParseHours(in)
		if got := settings.FormatHours(list); got != want || reason != "" {
			t.Errorf("%q: %q, %s; want %q", in, got, reason, want)
		}
	}
	for _, in := range []string{"", ";", "mon", "mon 8-20", "mon 08:00", "mo 08:00-09:00", "mon-foo 08:00-09:00", "24:00-01:00", "08:60-09:00", "8:0-9:00", "-1:00-2:00", "08:00-20:00 mon", strings.Repeat("mon 1:00-2:00;", 1000)} {
		if list, reason := settings.ParseHours(in); reason == "" {
			t.Errorf("%.40q was read as %v", in, list)
		}
	}
}

// FuzzPlayer: whatever was typed, what is taken is right, and the same once more.
func FuzzPlayer(f *testing.F) {
	cert, _ := certificate(f)
	f.Add("https://a", "mon-fri 08:00-20:00; 1:00-2:00", "1920x1080@60", cert)
	f.Add("http://[::1]:5", "fri-mon 22:00-06:00", "640x480", sha)
	f.Add("//", "24:00-24:00", "9999x1@0.0001", "-----BEGIN -----BEGIN CERTIFICATE-----")
	f.Fuzz(func(t *testing.T, server, hours, mode, pin string) {
		list, reason := settings.ParseHours(hours)
		if reason == "" {
			again, why := settings.ParseHours(settings.FormatHours(list))
			if d := cmp.Diff(list, again); d != "" || why != "" {
				t.Errorf("%q: %s\n%s", settings.FormatHours(list), why, d)
			}
		}
		s, wrong := settings.PlayerSettings{Server: server, Mode: mode, Pin: pin, Hours: list}.Normalize()
		if len(wrong) > 0 {
			for _, w := range wrong {
				if w.Reason == "" {
					t.Errorf("%+v", w)
				}
			}
			return
		}
		again, wrong := s.Normalize()
		if d := cmp.Diff(s, again); d != "" || wrong != nil {
			t.Errorf("%v\n%s", wrong, d)
		}
	})
}
