package live

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// pionLog carries pion's log to slog. What pion calls a warning is mostly a viewer going away, so all of it is debug
// but its errors, and those are warnings: no viewer's trouble is ours.
type pionLog struct {
	log   *slog.Logger
	scope string
}

// NewLogger implements logging.LoggerFactory.
func (p pionLog) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{p.log, scope}
}

func (p pionLog) emit(level slog.Level, msg string) {
	p.log.Log(context.Background(), level, "webrtc", "scope", p.scope, "text", msg)
}

func (p pionLog) emitf(level slog.Level, format string, args []any) {
	if p.log.Enabled(context.Background(), level) {
		p.emit(level, fmt.Sprintf(format, args...))
	}
}

// pion's per-packet tracing is dropped.
func (p pionLog) Trace(string)          {}
func (p pionLog) Tracef(string, ...any) {}

func (p pionLog) Debug(msg string)                  { p.emit(slog.LevelDebug, msg) }
func (p pionLog) Debugf(format string, args ...any) { p.emitf(slog.LevelDebug, format, args) }
func (p pionLog) Info(msg string)                   { p.emit(slog.LevelDebug, msg) }
func (p pionLog) Infof(format string, args ...any)  { p.emitf(slog.LevelDebug, format, args) }
func (p pionLog) Warn(msg string)                   { p.emit(slog.LevelDebug, msg) }
func (p pionLog) Warnf(format string, args ...any)  { p.emitf(slog.LevelDebug, format, args) }
func (p pionLog) Error(msg string)                  { p.emit(slog.LevelWarn, msg) }
func (p pionLog) Errorf(format string, args ...any) { p.emitf(slog.LevelWarn, format, args) }
