package integration_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"porthole/integration/stack"
	"porthole/media/decode/decodetest"
)

// uploadSpy runs before a page's own scripts: it makes files whose bytes the test knows, and holds PATCH requests back from
// the number that window.testGate says, until window.testOpen is called.
const uploadSpy = `
	window.testFile = async (size) => {
		const canvas = new OffscreenCanvas(64, 48);
		const g = canvas.getContext('2d');
		g.fillStyle = 'red';
		g.fillRect(0, 0, 64, 48);
		const picture = new Uint8Array(await (await canvas.convertToBlob({ type: 'image/png' })).arrayBuffer());
		const bytes = new Uint32Array(size / 4);
		for (let i = 0, x = 1; i < bytes.length; i++) { x ^= x << 13; x ^= x >>> 17; x ^= x << 5; bytes[i] = x; }
		const all = new Uint8Array(bytes.buffer);
		all.set(picture);
		return new File([all], 'large picture.png', { lastModified: 1700000000000 });
	};
	window.testHash = async (buffer) => Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', buffer)), (b) => b.toString(16).padStart(2, '0')).join('');
	window.testBegin = async (file) => {
		const { Upload } = await import('/assets/upload.js');
		const u = window.testUpload = new Upload(file);
		window.testStates = [];
		u.addEventListener('change', () => { if (testStates.at(-1) !== u.state) testStates.push(u.state); });
		window.testDone = u.start();
	};
	window.testParts = 0;
	window.testGate = Infinity;
	const gate = new Promise((open) => { window.testOpen = () => { testGate = Infinity; open(); }; });
	const send = window.fetch;
	window.fetch = async (url, options) => {
		if (options?.method === 'PATCH' && ++testParts >= testGate) await gate;
		return send(url, options);
	};`

// outcome is how the page's upload ended.
type outcome struct {
	State, Reason string
	Resumed       bool
	States        []string
	Media         *struct {
		ID     int64
		Name   string
		Kind   string
		Boards []struct {
			Board, Why string
			OK         bool
		}
	}
}

const awaitUpload = `(async () => {
	await testDone;
	const u = testUpload;
	return { State: u.state, Reason: u.reason, Resumed: u.resumed, Media: u.media, States: testStates };
})()`

// TestUploadInBrowser sends 40 MB from Chromium through proxy while console is killed and the page is loaded anew: it goes on
// where it stopped, and what arrives is what was sent.
func TestUploadInBrowser(t *testing.T) {
	const size = 40 << 20
	s := start(t, "")
	b := newBrowser(t, s)
	load := func() {
		b.do(t, chromedp.Navigate(s.URL("/")), chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
		eval[bool](t, b, `(() => {`+uploadSpy+`return true})()`)
	}
	load()
	begin := fmt.Sprintf(`(async () => { await testBegin(await testFile(%d)); return true })()`, size)
	eval[bool](t, b, `testGate = 3; true`)
	eval[bool](t, b, begin)
	eventually(t, "two parts are there", func() error {
		if n := eval[int](t, b, `testUpload.sent`); n != 16<<20 {
			return fmt.Errorf("%d bytes are", n)
		}
		return nil
	})
	kill(t, s, "console")
	eval[bool](t, b, `testOpen(); testGate = 5; true`)
	eventually(t, "it goes on when console is back", func() error {
		state := eval[string](t, b, `testStates.join(' ') + ': ' + testUpload.sent`)
		if !strings.Contains(state, "offline uploading") {
			return errors.New(state)
		}
		return nil
	})
	load()
	eval[bool](t, b, begin)
	got := eval[outcome](t, b, awaitUpload)
	if got.State != "ready" || !got.Resumed && !strings.Contains(strings.Join(got.States, " "), "checking") || got.Media == nil || got.Media.Name != "large picture.png" || len(got.Media.Boards) != 4 {
		t.Fatalf("%+v", got)
	}
	same := eval[bool](t, b, fmt.Sprintf(`(async () => {
		const there = await (await fetch('/media/%d/file')).arrayBuffer();
		return await testHash(there) === await testHash(await (await testFile(%d)).arrayBuffer());
	})()`, got.Media.ID, size))
	if !same {
		t.Error("what arrived is not what was sent")
	}
	part := eval[string](t, b, fmt.Sprintf(`(async () => {
		const r = await fetch('/media/%d/file', { headers: { Range: 'bytes=1-3' } });
		return r.status + ' ' + r.headers.get('Content-Range') + ' ' + await r.text();
	})()`, got.Media.ID))
	if want := fmt.Sprintf("206 bytes 1-3/%d PNG", size); part != want {
		t.Errorf("a range: %q, want %q", part, want)
	}

	eval[bool](t, b, `(async () => { await testBegin(new File(['<html>'], 'holiday.jpg')); return true })()`)
	if got := eval[outcome](t, b, awaitUpload); got.State != "refused" || !strings.Contains(got.Reason, "web page") {
		t.Errorf("a page that is called a picture: %+v", got)
	}
	eval[bool](t, b, fmt.Sprintf(`(async () => { testParts = 0; testGate = 2; await testBegin(await testFile(%d)); return true })()`, size))
	eventually(t, "a part is there", func() error {
		if n := eval[int](t, b, `testUpload.sent`); n == 0 {
			return errors.New("none is")
		}
		return nil
	})
	if got := eval[outcome](t, b, `(testUpload.abort(), testOpen(), `+awaitUpload+`)`); got.State != "aborted" {
		t.Errorf("a cancelled upload: %+v", got)
	}
	eventually(t, "nothing of it stays", func() error {
		left, err := os.ReadDir(s.State + "/perm/console/uploads")
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d files", len(left))
		}
		return err
	})
}

// kill ends a process the hard way.
func kill(t *testing.T, s *stack.Stack, name string) {
	t.Helper()
	pids, err := s.PIDs(t.Context())
	if err != nil || pids[name] == 0 {
		t.Fatalf("processes: %v, %v", pids, err)
	}
	if err := syscall.Kill(pids[name], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// checkUpload sends a video: console may start the decoder, which may read the upload.
func checkUpload(t *testing.T, s *stack.Stack, b *browser) {
	t.Helper()
	path := decodetest.Clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-c:v", "libx264")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b.do(t, chromedp.Navigate(s.URL("/")), chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
	eval[bool](t, b, `(() => {`+uploadSpy+`return true})()`)
	eval[bool](t, b, `(async () => {
		const bytes = Uint8Array.from(atob('`+base64.StdEncoding.EncodeToString(content)+`'), (c) => c.charCodeAt(0));
		await testBegin(new File([bytes], 'clip.mp4'));
		return true;
	})()`)
	got := eval[outcome](t, b, awaitUpload)
	if got.State != "ready" || got.Media == nil || got.Media.Kind != "video" {
		t.Errorf("a video: %+v", got)
		return
	}
	width := eval[int](t, b, fmt.Sprintf(`new Promise((done) => {
		const i = new Image();
		i.onload = () => done(i.naturalWidth);
		i.onerror = () => done(-1);
		i.src = '/media/%d/thumb.jpg';
	})`, got.Media.ID))
	if width != 320 {
		t.Errorf("its thumbnail is %d wide", width)
	}
}
