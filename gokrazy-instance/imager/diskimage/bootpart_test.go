package diskimage_test

import (
	"bytes"
	"testing"
	"time"

	"porthole/gokrazy-instance/imager/diskimage"
)

// TestBootPartOfEveryBuild: builds whose kernels are the same have the same boot part, whenever and under whatever name they
// were made, so that devices that have it need not be sent it.
func TestBootPartOfEveryBuild(t *testing.T) {
	files := map[string]string{"vmlinuz": "kernel", "cmdline.txt": "root=SLOT quiet\n", "overlays/README": "text"}
	first, err := diskimage.BootTarOf(files, "v1.0.0", time.Unix(1.7e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	second, err := diskimage.BootTarOf(files, "v1.0.1", time.Unix(1.8e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the boot part is another one at another time")
	}
	files["vmlinuz"] = "another kernel"
	if third, err := diskimage.BootTarOf(files, "v1.0.1", time.Unix(1.8e9, 0)); err != nil || bytes.Equal(second, third) {
		t.Errorf("another kernel makes no difference (%v)", err)
	}
}
