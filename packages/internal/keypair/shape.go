package keypair

import "encoding/asn1"

// Bounds of the work that encrypted files ask for before they can be opened. Windows and OpenSSL write 2,000 and 2,048
// iterations, careful tools up to a million.
const (
	maxIterations = 1_000_000
	maxKeyLength  = 64 // bytes
	maxDepth      = 32
)

var errWork = &Refusal{Reason: "It is encrypted in a way that takes too much computing to open. Save it again with less, or without a password."}

type shape int

const (
	shapeUnknown shape = iota
	shapePFX
	shapeSealedKey
	shapePKCS7
)

// shapeOf looks at the outermost elements only.
func shapeOf(der []byte) shape {
	var outer asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 || outer.Tag != asn1.TagSequence {
		return shapeUnknown
	}
	var first, second asn1.RawValue
	rest, err := asn1.Unmarshal(outer.Bytes, &first)
	if err != nil {
		return shapeUnknown
	}
	if _, err := asn1.Unmarshal(rest, &second); err != nil {
		return shapeUnknown
	}
	is := func(v asn1.RawValue, tag int) bool { return v.Class == asn1.ClassUniversal && v.Tag == tag }
	switch {
	case is(first, asn1.TagInteger) && is(second, asn1.TagSequence): // PFX: version, authSafe (RFC 7292 section 4)
		return shapePFX
	case is(first, asn1.TagSequence) && is(second, asn1.TagOctetString): // EncryptedPrivateKeyInfo (RFC 5958 section 3)
		return shapeSealedKey
	case is(first, asn1.TagOID): // ContentInfo (RFC 2315 section 7)
		return shapePKCS7
	}
	return shapeUnknown
}

// checkWork is errWork where der asks for more iterations or longer keys than the bounds. All of PBES1, PBKDF2, PKCS#12's own
// derivation and its MAC have them as integers right behind the salt, an octet string (RFC 8018 appendix A, RFC 7292
// appendix C); scrypt has three there and is not accepted, as its memory would need bounds of its own.
func checkWork(der []byte) error {
	if !boundedWork(der, 0) {
		return errWork
	}
	return nil
}

func boundedWork(der []byte, depth int) bool {
	if depth > maxDepth {
		return false
	}
	behind := -1 // integers behind the last octet string; -1 where there is none
	for len(der) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return true // not DER: nothing that would be followed
		}
		der = rest
		switch universal := v.Class == asn1.ClassUniversal; {
		case universal && v.Tag == asn1.TagInteger && behind >= 0:
			behind++
			var n int64
			if _, err := asn1.Unmarshal(v.FullBytes, &n); err != nil || behind > 2 || n > maxIterations || behind == 2 && n > maxKeyLength {
				return false
			}
			continue
		case universal && v.Tag == asn1.TagOctetString:
			behind = 0
		default:
			behind = -1
		}
		if (v.IsCompound || holdsSequence(v.Bytes)) && !boundedWork(v.Bytes, depth+1) {
			return false
		}
	}
	return true
}

// holdsSequence tells whether b is a sequence and nothing else: PKCS#12 has them in octet strings.
func holdsSequence(b []byte) bool {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(b, &v)
	return err == nil && len(rest) == 0 && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSequence
}
