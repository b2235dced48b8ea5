package vm

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// qmp is QEMU's control connection (docs/interop/qmp-spec.txt).
type qmp struct {
	conn net.Conn
	dec  *json.Decoder
}

func (q *qmp) close() { q.conn.Close() }

// QMP runs one of QEMU's control commands and returns its answer.
func (m *Machine) QMP(command string, arguments map[string]any) json.RawMessage {
	m.tb.Helper()
	if m.qmp == nil {
		conn, err := net.Dial("unix", m.qmpSocket())
		if err != nil {
			m.tb.Fatal(err)
		}
		m.qmp = &qmp{conn: conn, dec: json.NewDecoder(conn)}
		var greeting json.RawMessage
		if err := m.qmp.dec.Decode(&greeting); err != nil {
			m.tb.Fatal(err)
		}
		m.QMP("qmp_capabilities", nil)
	}
	q := m.qmp
	if err := q.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		m.tb.Fatal(err)
	}
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(q.conn).Encode(request); err != nil {
		m.tb.Fatal(err)
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
			Event  string
		}
		if err := q.dec.Decode(&answer); err != nil {
			m.tb.Fatalf("%s: %v", command, err)
		}
		switch {
		case answer.Event != "":
		case answer.Error != nil:
			m.tb.Fatalf("%s: %s", command, answer.Error.Desc)
		default:
			return answer.Return
		}
	}
}

// Screen returns what the machine's screen shows, and keeps it as screen-NN.png: go test -artifacts.
func (m *Machine) Screen() image.Image {
	m.tb.Helper()
	file := filepath.Join(m.dir, "screen.ppm")
	m.QMP("screendump", map[string]any{"filename": file})
	f, err := os.Open(file)
	if err != nil {
		m.tb.Fatal(err)
	}
	defer f.Close()
	img, err := readPPM(f)
	if err != nil {
		m.tb.Fatalf("read screen: %v", err)
	}
	m.screens++
	keep, err := os.Create(filepath.Join(m.tb.ArtifactDir(), fmt.Sprintf("screen-%02d.png", m.screens)))
	if err == nil {
		err = errors.Join(png.Encode(keep, img), keep.Close())
	}
	if err != nil {
		m.tb.Fatalf("keep screen: %v", err)
	}
	return img
}

// readPPM reads a binary portable pixmap of 8 bits a colour, the format of QEMU's screendumps.
func readPPM(r io.Reader) (image.Image, error) {
	br := bufio.NewReader(r)
	var w, h, top int
	if _, err := fmt.Fscanf(br, "P6\n%d %d\n%d\n", &w, &h, &top); err != nil {
		return nil, err
	}
	if top != 255 || w <= 0 || h <= 0 || w > 16384 || h > 16384 {
		return nil, fmt.Errorf("%d×%d with %d levels", w, h, top)
	}
	pix := make([]byte, 3*w*h)
	if _, err := io.ReadFull(br, pix); err != nil {
		return nil, err
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.SetRGBA(i%w, i/w, color.RGBA{R: pix[3*i], G: pix[3*i+1], B: pix[3*i+2], A: 255})
	}
	return img, nil
}
