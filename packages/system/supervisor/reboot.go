package supervisor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// stopWithin is how long processes may take to end before a restart of the device kills them.
const stopWithin = 10 * time.Second

// Reboot restarts the device: the supervisor ends all processes, the caller among them, and puts the storage to rest before.
// It returns only when that is refused, or when the supervisor answers before the caller's own end.
func (c *Client) Reboot(ctx context.Context) error {
	// gokrazy's powerHandler (update.go) wants no token. Without kexec the machine starts as if it had just got power.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gokrazy/reboot?kexec=off&wait_per_signal="+stopWithin.String(), nil)
	if err != nil {
		return fmt.Errorf("restart the device: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("restart the device: %w", err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, 200))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("restart the device: the supervisor answered %s: %s", res.Status, strings.TrimSpace(string(b)))
	}
	return nil
}
