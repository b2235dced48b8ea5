package rtsp

import "time"

// SetProbeStays sets how long a camera stays that was tried; before the first Probe.
func (h *Hub) SetProbeStays(d time.Duration) { h.probeStays = d }
