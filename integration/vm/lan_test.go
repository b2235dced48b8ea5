package vm_test

import (
	"context"
	"net/http"
	"os"
	"testing"

	"porthole/integration/vm"
)

// TestLAN boots the image in a network with nothing but this test in it: it gets its address by DHCP and answers there.
func TestLAN(t *testing.T) {
	const handedOver = "PORTHOLE_TEST_IMAGE"
	var env []string
	if !vm.InLAN() {
		env = append(env, handedOver+"="+theVMImage(t))
	}
	if !vm.RunInLAN(t, env...) {
		return
	}
	disk := newDisk(t, os.Getenv(handedOver), 0)
	lan, err := vm.NewLAN(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lan.Close)
	m, err := vm.StartVM(t.Context(), vm.Options{Disk: disk, Net: lan.Net(), Log: serialLog()})
	if err != nil {
		t.Fatal(err)
	}
	cleanUp(t, m)
	c := browser(t)
	eventually(t, "open the login page", func(ctx context.Context) error {
		_, err := open(ctx, c, http.MethodGet, "https://"+lan.Guest.String()+"/login", nil)
		return err
	})
}
