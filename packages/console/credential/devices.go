package credential

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

const (
	nonceBytes = 16
	// deviceBytes are a nonce and as many bytes of its MAC.
	deviceBytes = 2 * nonceBytes
	// maxDeviceAccounts is how many people may share a browser and still be known in it.
	maxDeviceAccounts = 5
	deviceSep         = "."
)

// Devices knows browsers in which somebody has logged in before, by a cookie that they keep: their tries are counted by
// themselves, so that nobody can use them up from elsewhere (OWASP, "Slow Down Online Guessing Attacks with Device
// Cookies"). The cookie logs nobody in.
type Devices struct{ key []byte }

// NewDevices returns Devices; the cookies of others with that key are known.
func NewDevices(key []byte) *Devices { return &Devices{key} }

// Find returns what stands for the browser in limits, empty if the cookie does not say that the account was logged in to
// with it.
func (d *Devices) Find(cookie, account string) string {
	for _, e := range entries(cookie) {
		if d.is(e, account) {
			return string(e[:nonceBytes])
		}
	}
	return ""
}

// Add returns the cookie after somebody has logged in to the account: with a new word for it, and those of a few others.
func (d *Devices) Add(cookie, account string) string {
	nonce := make([]byte, nonceBytes)
	rand.Read(nonce) // never fails (crypto/rand)
	list := []string{encode(append(nonce, d.mac(nonce, account)...))}
	for _, e := range entries(cookie) {
		if len(list) < maxDeviceAccounts && !d.is(e, account) {
			list = append(list, encode(e))
		}
	}
	return strings.Join(list, deviceSep)
}

func (d *Devices) is(entry []byte, account string) bool {
	return hmac.Equal(entry[nonceBytes:], d.mac(entry[:nonceBytes], account))
}

func (d *Devices) mac(nonce []byte, account string) []byte {
	h := hmac.New(sha256.New, d.key)
	fmt.Fprintf(h, "device of %d:%s%s", len(account), account, nonce)
	return h.Sum(nil)[:deviceBytes-nonceBytes]
}

func encode(entry []byte) string { return base64.RawURLEncoding.EncodeToString(entry) }

// entries are the well-formed parts of a cookie, maxDeviceAccounts at most.
func entries(cookie string) (list [][]byte) {
	for range maxDeviceAccounts {
		part, rest, more := strings.Cut(cookie, deviceSep)
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err == nil && len(b) == deviceBytes {
			list = append(list, b)
		}
		if !more {
			break
		}
		cookie = rest
	}
	return list
}
