package keypair

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/youmark/pkcs8"
	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

var (
	errTooLarge  = refuse("It is too large to be a certificate: at most %d KB are read. Upload only the certificate, its chain and the key.", MaxBytes>>10)
	errPassword  = &Refusal{Reason: "The password is wrong. Type the one that the file was saved with.", password: true}
	errEncrypted = &Refusal{Reason: "It is encrypted. Type the password that the file was saved with.", password: true}
)

// found is what is in the blobs, each certificate and key once.
type found struct {
	certs []*x509.Certificate
	keys  []crypto.Signer
	// request tells of a certificate request.
	request bool
}

func gather(password string, blobs [][]byte) (*found, error) {
	total := 0
	for _, b := range blobs {
		total += len(b)
	}
	if total > MaxBytes || len(blobs) > maxBlobs {
		return nil, errTooLarge
	}
	f := &found{}
	for _, b := range blobs {
		b = asText(b)
		var err error
		switch {
		case len(bytes.TrimSpace(b)) == 0:
		case bytes.Contains(b, []byte("-----BEGIN")):
			err = f.pem(password, b)
		default:
			err = f.der(password, b)
		}
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

// asText turns the UTF-16 of Windows' editors into UTF-8, and takes the mark off UTF-8 that has one.
func asText(b []byte) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}):
		return b[3:]
	case bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		order = binary.BigEndian
	case !bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		return b
	}
	var units []uint16
	for rest := b[2:]; len(rest) >= 2; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return []byte(string(utf16.Decode(units)))
}

// pem takes the blocks of a text. Pasted lines may be indented, and stand between other text.
func (f *found) pem(password string, text []byte) error {
	lines := bytes.Split(text, []byte("\n"))
	begun := 0
	for i, l := range lines {
		lines[i] = bytes.TrimSpace(l)
		if bytes.HasPrefix(lines[i], []byte("-----BEGIN ")) {
			begun++
		}
	}
	rest := bytes.Join(lines, []byte("\n"))
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		begun--
		if err := f.block(password, block); err != nil {
			return err
		}
	}
	if begun > 0 {
		return refuse("A PEM part in it is damaged or cut off. Copy it whole, from its line -----BEGIN to its line -----END.")
	}
	return nil
}

func (f *found) block(password string, b *pem.Block) error {
	switch b.Type {
	case "CERTIFICATE", "X509 CERTIFICATE":
		return f.addCerts(b.Bytes)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		if !x509.IsEncryptedPEMBlock(b) { //nolint:staticcheck // old OpenSSL wrote such keys, and people still have them; nobody who could tamper with them gains by it here
			return f.addKey(b.Bytes)
		}
		if password == "" {
			return errEncrypted
		}
		der, err := x509.DecryptPEMBlock(b, []byte(password)) //nolint:staticcheck // as above
		if err == nil {
			err = f.addKey(der)
		}
		if err != nil {
			// One wrong password in 256 looks right and gives rubbish.
			return errPassword
		}
	case "ENCRYPTED PRIVATE KEY":
		return f.sealedKey(password, b.Bytes)
	case "PKCS12":
		return f.pfx(password, b.Bytes)
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		f.request = true
	case "PKCS7":
		return errPKCS7
	case "OPENSSH PRIVATE KEY":
		return refuse("The private key in it is one for SSH. Add the key that the certificate was made with.")
	}
	// Parameters, public keys and what else tools put beside a key mean nothing here.
	return nil
}

var errPKCS7 = &Refusal{Reason: "It is a PKCS#7 file (.p7b), which holds no key. Save the certificate as PEM or as PFX with its key, " +
	"for example: openssl pkcs7 -print_certs -in FILE.p7b -out certificate.pem"}

// der takes a file that is not text.
func (f *found) der(password string, b []byte) error {
	if _, err := x509.ParseCertificates(b); err == nil {
		return f.addCerts(b)
	}
	if _, err := parseKey(b); err == nil {
		return f.addKey(b)
	}
	switch shapeOf(b) {
	case shapePFX:
		return f.pfx(password, b)
	case shapeSealedKey:
		return f.sealedKey(password, b)
	case shapePKCS7:
		return errPKCS7
	}
	if _, err := x509.ParseCertificateRequest(b); err == nil {
		f.request = true
		return nil
	}
	return refuse("It is no certificate and no key that can be read. PEM (a text with -----BEGIN lines), DER and PFX (PKCS#12) are understood.")
}

func (f *found) addCerts(der []byte) error {
	certs, err := x509.ParseCertificates(der)
	if err != nil {
		return refuse("A certificate in it is damaged (%s). Save or copy it again.", strings.TrimPrefix(err.Error(), "x509: "))
	}
	return f.take(certs...)
}

func (f *found) take(certs ...*x509.Certificate) error {
	for _, c := range certs {
		if !slices.ContainsFunc(f.certs, c.Equal) {
			f.certs = append(f.certs, c)
		}
	}
	if len(f.certs) > maxCerts {
		return refuse("There are more than %d certificates in it. Upload only the server's with its chain and the key.", maxCerts)
	}
	return nil
}

func (f *found) addKey(der []byte) error {
	k, err := parseKey(der)
	if err == nil {
		f.hold(k)
	}
	return err
}

func (f *found) hold(k crypto.Signer) {
	if !slices.ContainsFunc(f.keys, func(o crypto.Signer) bool { return samePublic(o.Public(), k.Public()) }) {
		f.keys = append(f.keys, k)
	}
}

// parseKey reads an unencrypted key: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) or SEC 1 (RFC 5915).
func parseKey(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return asSigner(k)
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return nil, refuse("The private key in it is damaged, or of a kind that is not understood. RSA and ECDSA keys are.")
}

func asSigner(k any) (crypto.Signer, error) {
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, refuse("The key in it cannot sign. Add the key that the certificate was made with.")
	}
	return s, nil
}

// sealedKey opens an encrypted PKCS#8 key.
func (f *found) sealedKey(password string, der []byte) error {
	if err := checkWork(der); err != nil {
		return err
	}
	if password == "" {
		return errEncrypted
	}
	k, err := guarded(func() (any, error) { return pkcs8.ParsePKCS8PrivateKey(der, []byte(password)) })
	if err != nil {
		if strings.Contains(err.Error(), "supported") { // "unsupported cipher", "only PBES2 supported"
			return refuse("The key is encrypted in a way that is not understood (%s). Save it again: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW", strings.TrimPrefix(err.Error(), "pkcs8: "))
		}
		return errPassword
	}
	s, err := asSigner(k)
	if err == nil {
		f.hold(s)
	}
	return err
}

// pfx opens a PKCS#12 file (RFC 7292).
func (f *found) pfx(password string, der []byte) error {
	if err := checkWork(der); err != nil {
		return err
	}
	type content struct {
		key   any
		certs []*x509.Certificate
	}
	got, err := guarded(func() (content, error) {
		key, leaf, others, err := pkcs12.DecodeChain(der, password)
		if err != nil {
			return content{}, err
		}
		return content{key, append([]*x509.Certificate{leaf}, others...)}, nil
	})
	var unknown pkcs12.NotImplementedError
	switch {
	case err == nil:
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		if password == "" {
			return errEncrypted
		}
		return errPassword
	case errors.As(err, &unknown):
		return refuse("The PFX file is written in a way that is not understood (%s). Save it again as PEM, for example: openssl pkcs12 -in FILE -out certificate.pem", string(unknown))
	case strings.HasSuffix(err.Error(), "private key missing"):
		return refuse("There is no private key in the PFX file. Export it again and choose to include the private key.")
	case strings.HasSuffix(err.Error(), "certificate missing"):
		return errNoCertificate
	default:
		return refuse("The PFX file is damaged, or written in a way that is not understood (%s). Save it again, or as PEM: openssl pkcs12 -in FILE -out certificate.pem", strings.TrimPrefix(err.Error(), "pkcs12: "))
	}
	s, err := asSigner(got.key)
	if err != nil {
		return err
	}
	f.hold(s)
	return f.take(got.certs...)
}

// guarded makes an error of a panic: neither library checks an initialization vector's length before it hands it to a
// cipher, which then panics.
func guarded[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed: %v", p)
		}
	}()
	return f()
}
