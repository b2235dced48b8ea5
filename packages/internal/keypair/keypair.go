// Package keypair reads certificates with their private keys in the forms people have them, puts the chain in order and
// says in words what is wrong with them.
package keypair

import (
	_ "software.sslmate.com/src/go-pkcs12"
)
