package decoder_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

// TestShared: pictures handed over in shared memory are those that Debian's ffmpeg gives, in the slots in which they are said to be;
// and whoever does not give slots back gets no more pictures.
func TestShared(t *testing.T) {
	const frame, slots = 322 * 242 * 3 / 2, 4
	each(t, func(t *testing.T, g target) {
		path := clip(t, "a.mp4", append(pictures, "-c:v", "libx264", "-pix_fmt", "yuv420p")...)
		want := debian(t, "-i", path, "-f", "rawvideo", "-")
		for _, c := range []struct {
			name  string
			freed []byte // slots that are given back, in this order
			whole int    // of how many pictures it is said that they are there
		}{
			{"all given back", bytes.Repeat([]byte{2, 0, 3, 1}, 6), 25},
			{"two given back", []byte{1, 3}, slots + 2},
			{"one given back that does not exist", []byte{9}, slots},
		} {
			t.Run(c.name, func(t *testing.T) {
				memory, err := os.Create(filepath.Join(t.TempDir(), "memory"))
				if err != nil {
					t.Fatal(err)
				}
				defer memory.Close()
				if err := memory.Truncate(slots * frame); err != nil {
					t.Fatal(err)
				}
				free, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer free.Close()
				if _, err := w.Write(c.freed); err != nil {
					t.Fatal(err)
				}
				w.Close()
				args := []string{filepath.Join(g.folder(t), "ffmpeg"), "-hide_banner", "-nostdin", "-v", "error", "-i", path,
					"-c:v", "shared", "-memory_fd", "3", "-free_fd", "4", "-slots", strconv.Itoa(slots), "-slot_size", strconv.Itoa(frame),
					"-f", "rawvideo", "-"}
				if g.arch != runtime.GOARCH {
					args = append([]string{g.emulator}, args...)
				}
				cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
				cmd.ExtraFiles = []*os.File{memory, free}
				said, _ := cmd.Output() // without slots it fails, as it should

				if len(said) != 4*c.whole {
					t.Fatalf("it names %d slots, want %d", len(said)/4, c.whole)
				}
				holds := map[byte]int{} // slot → the last picture in it
				for n := range c.whole {
					slot := byte(n)
					if n >= slots {
						slot = c.freed[n-slots]
					}
					if !bytes.Equal(said[4*n:4*n+4], []byte{slot, 0, 0, 0}) {
						t.Errorf("picture %d is said to be in %v, want %d", n, said[4*n:4*n+4], slot)
					}
					holds[slot] = n
				}
				got, err := os.ReadFile(memory.Name())
				if err != nil {
					t.Fatal(err)
				}
				for slot, n := range holds {
					if !bytes.Equal(got[int(slot)*frame:][:frame], want[n*frame:][:frame]) {
						t.Errorf("slot %d does not hold picture %d", slot, n)
					}
				}
			})
		}
	})
}
