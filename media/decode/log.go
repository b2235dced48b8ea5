package decode

import (
	"bufio"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"porthole/media/decode/nut"
)

// log reads what the child says on its standard error: FFmpeg's descriptions of the streams and its errors, each line with its level
// (-loglevel level+info). The words of a file can appear in it, so it is not trusted: at worst an item describes itself wrongly.
type log struct {
	described chan struct{} // closed when the output has been described, or the log has ended

	mu      sync.Mutex // guards all below
	once    bool       // described is closed
	output  bool       // the lines are about the output
	stream  string     // the input stream that is described now
	codec   string
	used    string // the input stream that is decoded
	demuxer string
	sizes   map[string]Input // of the input's video streams, what their lines say
	first   string           // the first video stream that is no cover picture
	audio   string
	dur     time.Duration
	fps     float64
	pixfmt  string
	rotate  map[string]int // by input stream
	errors  int
	last    []string
	memory  bool
	noVideo bool
}

const (
	maxLine  = 1024 // longer lines are cut
	maxWords = 3    // last error lines that are kept
	maxInput = 64   // video streams of a file that are kept
)

func newLog() *log {
	return &log{described: make(chan struct{}), rotate: map[string]int{}, sizes: map[string]Input{}}
}

// read reads until the child closes its end.
func (l *log) read(r io.Reader) {
	br := bufio.NewReaderSize(r, maxLine)
	for {
		line, cut, err := br.ReadLine()
		text := string(line)
		for cut && err == nil {
			_, cut, err = br.ReadLine()
		}
		if text != "" {
			l.line(text)
		}
		if err != nil {
			break
		}
	}
	l.mu.Lock()
	l.describe()
	l.mu.Unlock()
}

func (l *log) describe() {
	if !l.once {
		l.once = true
		close(l.described)
	}
}

// The lines that matter, as FFmpeg 5.1 writes them (fftools/ffmpeg.c, libavformat/dump.c).
var (
	inputLine    = regexp.MustCompile(`^Input #0, ([a-z0-9_,]+), from `)
	outputLine   = regexp.MustCompile(`^Output #0, `)
	durationLine = regexp.MustCompile(`^  Duration: (\d{1,6}):(\d\d):(\d\d)\.(\d\d)`)
	streamLine   = regexp.MustCompile(`^  Stream #0:(\d+)[^:]*: Video: `)
	inputVideo   = regexp.MustCompile(`^  Stream #0:\d+[^:]*: Video: ([a-z0-9_]+)(?: \(([^()/]*)\))?(?: \([^()]* / 0x[0-9A-Fa-f]+\))?(?:, ([a-z0-9]+)(?:\([^()]*\))?)?`)
	inputAudio   = regexp.MustCompile(`^  Stream #0:\d+[^:]*: Audio: ([a-z0-9_]+)`)
	sizeField    = regexp.MustCompile(`, (\d{1,6})x(\d{1,6})`)
	aspectField  = regexp.MustCompile(`SAR (\d{1,6}):(\d{1,6}) `)
	deepFormat   = regexp.MustCompile(`(?:p|gray|gbrp|gbrap)(9|1[0-6])(?:le|be)$`)
	mappingLine  = regexp.MustCompile(`^  Stream #0:(\d+) -> #0:0 \(([a-z0-9]+) `)
	alphaLine    = regexp.MustCompile(`^      (?i:alpha_mode) +: 1$`)
	rotateLine   = regexp.MustCompile(`^      displaymatrix: rotation of (-?\d+)\.\d+ degrees`)
	formatField  = regexp.MustCompile(` (yuvj?420p)(?:\(([^)]*)\))?, \d+x\d+`)
	rateField    = regexp.MustCompile(`, (\d+(?:\.\d+)?)(k?) fps`)
	levelPrefix  = regexp.MustCompile(`^((?:\[[^\]]* @ 0x[0-9a-f]+\] )*)\[(panic|fatal|error|warning|info)\] `)
	context0x    = regexp.MustCompile(` @ 0x[0-9a-f]+`)
)

// line takes one line.
func (l *log) line(text string) {
	level := ""
	if m := levelPrefix.FindStringSubmatch(text); m != nil {
		level = m[2]
		text = context0x.ReplaceAllString(m[1], "") + text[len(m[0]):]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if level == "error" || level == "fatal" || level == "panic" {
		l.problem(text)
		return
	}
	if level == "warning" {
		return
	}
	l.description(text)
}

// problem takes an error line.
func (l *log) problem(text string) {
	l.errors++
	if len(l.last) == maxWords {
		l.last = l.last[1:]
	}
	l.last = append(l.last, printable(text))
	lower := strings.ToLower(text)
	for _, s := range []string{"cannot allocate memory", "failed to allocate", "could not allocate", "buffer() failed", "resource temporarily unavailable"} {
		l.memory = l.memory || strings.Contains(lower, s)
	}
	for _, s := range []string{"matches no streams", "decoder (codec ", "max pixel count", "picture size ", "not supported", "no decoder"} {
		l.noVideo = l.noVideo || strings.Contains(lower, s)
	}
}

// description takes a line of the descriptions of input, mapping and output.
func (l *log) description(text string) {
	switch {
	case inputLine.MatchString(text):
		l.output, l.demuxer = false, inputLine.FindStringSubmatch(text)[1]
	case outputLine.MatchString(text):
		l.output = true
	case !l.output:
		l.describeInput(text)
	case streamLine.MatchString(text):
		if m := formatField.FindStringSubmatch(text); m != nil {
			l.pixfmt = m[1] + "," + m[2]
		}
		if fps := frameRate(text); fps > 0 {
			l.fps = fps
		}
		l.describe()
	}
}

func (l *log) describeInput(text string) {
	if m := durationLine.FindStringSubmatch(text); m != nil {
		n := func(i int) time.Duration { v, _ := strconv.Atoi(m[i]); return time.Duration(v) }
		l.dur = n(1)*time.Hour + n(2)*time.Minute + n(3)*time.Second + n(4)*10*time.Millisecond
	} else if m := mappingLine.FindStringSubmatch(text); m != nil {
		l.used, l.codec = m[1], m[2]
	} else if m := streamLine.FindStringSubmatch(text); m != nil {
		l.stream = m[1]
		l.describeVideo(text)
	} else if m := inputAudio.FindStringSubmatch(text); m != nil {
		if l.audio == "" {
			l.audio = m[1]
		}
		l.stream = ""
	} else if alphaLine.MatchString(text) {
		if i, ok := l.sizes[l.stream]; ok {
			i.Alpha = true
			l.sizes[l.stream] = i
		}
	} else if m := rotateLine.FindStringSubmatch(text); m != nil {
		// FFmpeg names the angle counterclockwise.
		deg, _ := strconv.ParseFloat(m[1], 64)
		l.rotate[l.stream] = (int(math.Round(-deg/90))%4 + 4) % 4 * 90
	}
}

// describeVideo takes the line of an input's video stream.
func (l *log) describeVideo(text string) {
	m := inputVideo.FindStringSubmatch(text)
	if m == nil || len(l.sizes) == maxInput {
		return
	}
	i := Input{Codec: m[1], Profile: m[2], SampleAspect: [2]int{1, 1}}
	if m[3] != "none" {
		i.PixelFormat = m[3]
	}
	if i.PixelFormat != "" {
		i.BitDepth = 8
		if d := deepFormat.FindStringSubmatch(i.PixelFormat); d != nil {
			i.BitDepth, _ = strconv.Atoi(d[1])
		}
	}
	for _, s := range []string{"yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16"} {
		i.Alpha = i.Alpha || strings.HasPrefix(i.PixelFormat, s)
	}
	if s := sizeField.FindStringSubmatch(text); s != nil {
		i.Width, _ = strconv.Atoi(s[1])
		i.Height, _ = strconv.Atoi(s[2])
	}
	if s := aspectField.FindStringSubmatch(text); s != nil {
		x, _ := strconv.Atoi(s[1])
		y, _ := strconv.Atoi(s[2])
		if x > 0 && y > 0 {
			i.SampleAspect = [2]int{x, y}
		}
	}
	i.FrameRate = frameRate(text)
	l.sizes[l.stream] = i
	if l.first == "" && !strings.HasSuffix(text, "(attached pic)") {
		l.first = l.stream
	}
}

// frameRate is that in a stream's line, 0 if it names none.
func frameRate(text string) float64 {
	m := rateField.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	fps, _ := strconv.ParseFloat(m[1], 64)
	if m[2] == "k" {
		fps *= 1000
	}
	return fps
}

// input puts together what the file says of itself.
func (l *log) input() Input {
	l.mu.Lock()
	defer l.mu.Unlock()
	stream := l.used
	if _, ok := l.sizes[stream]; !ok {
		stream = l.first
	}
	i := l.sizes[stream]
	i.Demuxer, i.Duration, i.Rotation, i.Audio = l.demuxer, l.dur, l.rotate[stream], l.audio
	return i
}

// info puts together what is known about the stream.
func (l *log) info(s nut.Stream) StreamInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := StreamInfo{
		Codec: l.codec, Width: s.Width, Height: s.Height, SampleAspect: s.SampleAspect,
		FrameRate: l.fps, Duration: l.dur, Rotation: l.rotate[l.used],
	}
	if i.SampleAspect[0] <= 0 || i.SampleAspect[1] <= 0 {
		i.SampleAspect = [2]int{1, 1}
	}
	i.FullRange = strings.HasPrefix(l.pixfmt, "yuvj") || strings.Contains(l.pixfmt, ",pc")
	switch {
	case strings.Contains(l.pixfmt, "bt709"):
		i.Matrix = BT709
	case strings.Contains(l.pixfmt, "bt2020"):
		i.Matrix = BT2020
	case strings.Contains(l.pixfmt, "bt470bg"), strings.Contains(l.pixfmt, "smpte170m"):
		i.Matrix = BT601
	case i.Codec == "mjpeg" || s.Height < 720: // nothing said: what everybody assumes
		i.Matrix = BT601
	default:
		i.Matrix = BT709
	}
	return i
}

func (l *log) errorCount() int   { l.mu.Lock(); defer l.mu.Unlock(); return l.errors }
func (l *log) outOfMemory() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.memory }
func (l *log) unsupported() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.noVideo }

// lastWords is the last error lines, as one.
func (l *log) lastWords() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "; ")
}

// printable makes text that may come from a file fit for a log: one line, no control characters, not endless.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
