package flash

import "crypto/sha256"

// What tests of the parts need: block devices cannot be made in a test.
var (
	Refuse  = refuse
	Compare = compare
)

// Describe describes the block device with a number.
func Describe(h Host, path, dev string) (Disk, error) {
	return h.describe(Disk{Path: path}, dev)
}

// Sums returns what copyImage would.
func Sums(data []byte) [][sha256.Size]byte {
	var sums [][sha256.Size]byte
	for len(data) > 0 {
		n := min(chunk, len(data))
		sums = append(sums, sha256.Sum256(data[:n]))
		data = data[n:]
	}
	return sums
}
