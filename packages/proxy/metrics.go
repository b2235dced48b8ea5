package main

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sys/unix"

	"porthole/packages/internal/certstore"
)

// streamStates are rtsp.CameraStatus.State's.
var streamStates = []string{"idle", "connecting", "live", "lost"}

// metric describes a value of ours.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("porthole_"+name, help, labels, nil)
}

// collector turns the status into metrics at every scrape.
type collector struct {
	status       func() status
	certificates func() []certstore.Certificate
	start        float64

	bytesIn, bytesOut, sessions, readers, bits, fps, gopSeconds, gopPictures *prometheus.Desc
	dropped, droppedGOPs, reconnects, state                                  *prometheus.Desc
	connections, undecided, served, refused, handshakes, failed              *prometheus.Desc
	cpu, started, notAfter                                                   *prometheus.Desc
}

func newCollector(s func() status, certificates func() []certstore.Certificate) *collector {
	return &collector{
		status: s, certificates: certificates, start: float64(time.Now().UnixMilli()) / 1000,
		bytesIn:     metric("stream_received_bytes_total", "RTP bytes that came from the camera.", "stream"),
		bytesOut:    metric("stream_sent_bytes_total", "RTP bytes that went to readers.", "stream"),
		sessions:    metric("stream_sessions_total", "Readers that have begun to read.", "stream"),
		readers:     metric("stream_readers", "Readers now.", "stream"),
		bits:        metric("stream_bits_per_second", "Bit rate of the last ten seconds.", "stream"),
		fps:         metric("stream_pictures_per_second", "Picture rate of the last ten seconds.", "stream"),
		gopSeconds:  metric("stream_gop_seconds", "Time between the last two key pictures.", "stream"),
		gopPictures: metric("stream_gop_pictures", "Pictures between the last two key pictures.", "stream"),
		dropped:     metric("stream_dropped_packets_total", "Packets that slow readers missed.", "stream"),
		droppedGOPs: metric("stream_dropped_gops_total", "Gaps that slow readers missed.", "stream"),
		reconnects:  metric("stream_reconnects_total", "Connections to the camera after the first.", "stream"),
		state:       metric("stream_state", "1 for the state that the stream is in.", "stream", "state"),
		connections: metric("https_connections", "Connections open now on the TLS port."),
		undecided:   metric("https_undecided_connections", "Connections that have not said yet what they want."),
		served:      metric("https_served_total", "Connections served, by kind.", "kind"),
		refused:     metric("https_refused_total", "Connections refused, by reason.", "reason"),
		handshakes:  metric("https_tls_handshakes_total", "Handshakes, by what was negotiated.", "tls"),
		failed:      metric("https_tls_failures_total", "Handshakes that failed, by reason.", "reason"),
		notAfter:    metric("certificate_not_after_seconds", "When a certificate in service ends, in seconds since 1970.", "certificate", "algorithm", "names"),
		// The names that process collectors use. Theirs reads files in /proc, which proxy may not.
		cpu:     prometheus.NewDesc("process_cpu_seconds_total", "User and system CPU time spent, in seconds.", nil, nil),
		started: prometheus.NewDesc("process_start_time_seconds", "When the process started, in seconds since 1970.", nil, nil),
	}
}

// Describe sends nothing: the collector is unchecked, since which streams there are changes.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all values.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.status()
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, cam := range s.Cameras {
		counter(c.bytesIn, float64(cam.BytesIn), cam.ID)
		counter(c.bytesOut, float64(cam.BytesOut), cam.ID)
		counter(c.sessions, float64(cam.Sessions), cam.ID)
		gauge(c.readers, float64(cam.Readers), cam.ID)
		gauge(c.bits, cam.KbitPerSecond*1000, cam.ID)
		gauge(c.fps, cam.FPS, cam.ID)
		gauge(c.gopSeconds, cam.GOPSeconds, cam.ID)
		gauge(c.gopPictures, float64(cam.GOPPictures), cam.ID)
		counter(c.dropped, float64(cam.Dropped), cam.ID)
		counter(c.droppedGOPs, float64(cam.DroppedGOPs), cam.ID)
		counter(c.reconnects, float64(cam.Reconnects), cam.ID)
		for _, state := range streamStates {
			is := 0.0
			if cam.State == state {
				is = 1
			}
			gauge(c.state, is, cam.ID, state)
		}
	}
	gauge(c.connections, float64(s.HTTPS.Connections))
	gauge(c.undecided, float64(s.HTTPS.Undecided))
	for kind, n := range s.HTTPS.Served {
		counter(c.served, float64(n), kind)
	}
	for reason, n := range s.Refused {
		counter(c.refused, float64(n), reason)
	}
	for name, n := range s.HTTPS.TLS {
		counter(c.handshakes, float64(n), name)
	}
	for reason, n := range s.HTTPS.Failed {
		counter(c.failed, float64(n), reason)
	}
	for _, cert := range c.certificates() {
		gauge(c.notAfter, float64(cert.Leaf.NotAfter.Unix()), cert.Name, cert.Algorithm, strings.Join(cert.Names(), ","))
	}
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) == nil {
		counter(c.cpu, float64(use.Utime.Nano()+use.Stime.Nano())/1e9)
	}
	gauge(c.started, c.start)
}

// metrics answers /metrics in Prometheus's text format; who may ask has been found out.
func (p *proxy) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(p.status, p.certificates), p.newLiveCollector(), collectors.NewGoCollector())
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// certificates lists what is served over TLS now.
func (p *proxy) certificates() []certstore.Certificate {
	if store := p.certs.Load(); store != nil {
		return store.Certificates()
	}
	return nil
}
