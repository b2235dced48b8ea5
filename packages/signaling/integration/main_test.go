// Package integration_test drives the live view's pages with real browsers.
package integration_test

import (
	"testing"

	"go.uber.org/goleak"

	"porthole/media/decode"
)

func TestMain(m *testing.M) {
	decode.Child()
	goleak.VerifyTestMain(m)
}
