package main

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// liveWithin bounds how long a scrape waits for signaling.
const liveWithin = 2 * time.Second

// liveStatus is what signaling-status.sock says of the live view (docs/architecture.md), as far as metrics need it.
type liveStatus struct {
	Viewers []struct {
		Stream     string  `json:"stream"`
		RTT        float64 `json:"rtt_s"`
		Loss       float64 `json:"loss"`
		Kbit       float64 `json:"kbit_per_s"`
		Transcoded bool    `json:"transcoded"`
		Candidates *struct {
			Local    string `json:"local"`
			Remote   string `json:"remote"`
			Protocol string `json:"protocol"`
		} `json:"candidates"`
	} `json:"viewers"`
	Streams []struct {
		Stream  string `json:"stream"`
		Started uint64 `json:"started"`
		Bytes   uint64 `json:"sent_bytes"`
		Packets uint64 `json:"sent_packets"`
		Lost    uint64 `json:"lost_packets"`
		Dropped uint64 `json:"dropped_frames"`
	} `json:"streams"`
	Limits struct {
		Total int `json:"total"`
	} `json:"limits"`
	Refused    map[string]uint64 `json:"refused"`
	Ended      map[string]uint64 `json:"ended"`
	FirstFrame struct {
		Bounds  []float64 `json:"bounds"`
		Buckets []uint64  `json:"buckets"`
		Count   uint64    `json:"count"`
		Sum     float64   `json:"sum"`
	} `json:"first_frame"`
}

// liveCollector asks signaling at every scrape. No label grows with the number of viewers.
type liveCollector struct {
	ask func(context.Context) (liveStatus, error)

	up, places, viewers, converted, paths, rtt, loss, bits *prometheus.Desc
	started, bytes, packets, lost, dropped, refused, ended *prometheus.Desc
	firstFrame                                             *prometheus.Desc
}

func (p *proxy) newLiveCollector() *liveCollector {
	ask := func(ctx context.Context) (s liveStatus, err error) {
		_, err = p.signaling.Call(ctx, http.MethodGet, "/viewers", nil, &s)
		return s, err
	}
	return &liveCollector{
		ask:        ask,
		up:         metric("live_up", "1 if signaling answered this scrape."),
		places:     metric("live_places", "Viewers that there may be at once."),
		viewers:    metric("live_viewers", "Browsers that watch now.", "stream"),
		converted:  metric("live_converted_viewers", "Browsers that watch now, and for which picture or sound is converted.", "stream"),
		paths:      metric("live_paths", "Browsers that watch now, by the ICE candidates that media takes.", "local", "remote", "protocol"),
		rtt:        metric("live_round_trip_seconds", "Longest round trip that a browser of the stream reports.", "stream"),
		loss:       metric("live_loss_ratio", "Largest share of packets that a browser of the stream reports lost since its report before.", "stream"),
		bits:       metric("live_bits_per_second", "Bit rate to all browsers over the last ten seconds.", "stream"),
		started:    metric("live_viewers_total", "Browsers that have begun to watch.", "stream"),
		bytes:      metric("live_sent_bytes_total", "Media bytes that went to browsers.", "stream"),
		packets:    metric("live_sent_packets_total", "Packets that went to browsers.", "stream"),
		lost:       metric("live_lost_packets_total", "Packets that browsers report lost.", "stream"),
		dropped:    metric("live_dropped_frames_total", "Pictures and sounds that slow browsers missed.", "stream"),
		refused:    metric("live_refused_total", "Browsers that could not watch, by reason.", "reason"),
		ended:      metric("live_ended_total", "Browsers that were sent away, by reason.", "reason"),
		firstFrame: metric("live_first_frame_seconds", "Time from the answer to the first packet of a picture."),
	}
}

// Describe sends nothing: the collector is unchecked, since which streams there are changes.
func (c *liveCollector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all values; only that signaling is away when it is.
func (c *liveCollector) Collect(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), liveWithin)
	defer cancel()
	s, err := c.ask(ctx)
	if err != nil {
		gauge(c.up, 0)
		return
	}
	gauge(c.up, 1)
	gauge(c.places, float64(s.Limits.Total))
	type now struct{ viewers, converted, rtt, loss, bits float64 }
	streams := map[string]now{}
	for _, t := range s.Streams {
		streams[t.Stream] = now{}
		counter(c.started, float64(t.Started), t.Stream)
		counter(c.bytes, float64(t.Bytes), t.Stream)
		counter(c.packets, float64(t.Packets), t.Stream)
		counter(c.lost, float64(t.Lost), t.Stream)
		counter(c.dropped, float64(t.Dropped), t.Stream)
	}
	paths := map[[3]string]float64{}
	for _, v := range s.Viewers {
		n := streams[v.Stream]
		n.viewers++
		if v.Transcoded {
			n.converted++
		}
		n.rtt, n.loss, n.bits = max(n.rtt, v.RTT), max(n.loss, v.Loss), n.bits+v.Kbit*1000
		streams[v.Stream] = n
		if p := v.Candidates; p != nil {
			paths[[3]string{p.Local, p.Remote, p.Protocol}]++
		}
	}
	for name, n := range streams {
		gauge(c.viewers, n.viewers, name)
		gauge(c.converted, n.converted, name)
		gauge(c.rtt, n.rtt, name)
		gauge(c.loss, n.loss, name)
		gauge(c.bits, n.bits, name)
	}
	for p, n := range paths {
		gauge(c.paths, n, p[:]...)
	}
	for reason, n := range s.Refused {
		counter(c.refused, float64(n), reason)
	}
	for reason, n := range s.Ended {
		counter(c.ended, float64(n), reason)
	}
	buckets := map[float64]uint64{}
	for i, b := range s.FirstFrame.Bounds {
		if i < len(s.FirstFrame.Buckets) {
			buckets[b] = s.FirstFrame.Buckets[i]
		}
	}
	out <- prometheus.MustNewConstHistogram(c.firstFrame, s.FirstFrame.Count, s.FirstFrame.Sum, buckets)
}
