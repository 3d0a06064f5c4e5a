package speaker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v3/pkg/log"
)

// warnInterval is how often the same warning of the engine about the same peer
// is passed on: it says some at every attempt to connect.
const warnInterval = time.Minute

// engineSays is the message of whatever the engine wants to be logged.
const engineSays = "BGP engine"

// Messages of GoBGP v3.37.0, its last version, and what they tell.
const (
	msgStateChanged  = "state changed"
	msgConnectFailed = "failed to connect"
	msgSent          = "sent notification"
	msgReceived      = "received notification"
	msgEndOfRIB      = "EOR received"
	msgUpdate        = "received update"
	msgDropsStale    = "withdraw stale routes"
	msgDefers        = "Now syncing, suppress sending updates. start deferral timer"
	msgMD5           = "failed to set md5"
	msgHoldTimer     = "hold timer expired"
	// Each has the error that the NOTIFICATION after it is about.
	msgBadHeader  = "Session will be reset due to malformed BGP Header"
	msgBadMessage = "Session will be reset due to malformed BGP message"
	msgBadUpdate  = "Session will be reset due to malformed BGP update message"
)

// Level says Debug, because GoBGP tells only then why it cannot connect.
func (j *journal) GetLevel() log.LogLevel { return log.DebugLevel }

// SetLevel is for nobody: the level is slog's.
func (j *journal) SetLevel(log.LogLevel) {}

// Panic is for broken invariants of the engine. The process ends without
// Cease, and its successor goes on.
func (j *journal) Panic(msg string, f log.Fields) {
	panic(fmt.Sprintf("GoBGP: %s %v", msg, f))
}

// Fatal does not end the process: whatever says it returns an error as well.
func (j *journal) Fatal(msg string, f log.Fields) { j.Error(msg, f) }

func (j *journal) Error(msg string, f log.Fields) {
	j.observe(msg, f)
	j.warn(slog.LevelError, msg, f)
}

func (j *journal) Warn(msg string, f log.Fields) {
	if !j.observe(msg, f) {
		j.warn(slog.LevelWarn, msg, f)
	}
}

func (j *journal) Info(msg string, f log.Fields) {
	if !j.observe(msg, f) {
		j.debug(msg, f)
	}
}

func (j *journal) Debug(msg string, f log.Fields) {
	if !j.observe(msg, f) {
		j.debug(msg, f)
	}
}

// warn passes a warning on if it was not just said.
func (j *journal) warn(level slog.Level, msg string, f log.Fields) {
	w := warning{fmt.Sprint(f["Key"]), msg}
	j.mu.Lock()
	again := time.Since(j.warned[w]) < warnInterval
	if !again {
		j.warned[w] = time.Now()
	}
	j.mu.Unlock()
	if again {
		j.debug(msg, f)
		return
	}
	j.logger.Log(context.Background(), level, engineSays, attrs(msg, f)...)
}

func (j *journal) debug(msg string, f log.Fields) {
	if j.logger.Enabled(context.Background(), slog.LevelDebug) {
		j.logger.Debug(engineSays, attrs(msg, f)...)
	}
}

// attrs names the peer as all our log lines do. None of GoBGP's fields holds a
// whole peer, so no password is among them.
func attrs(msg string, f log.Fields) []any {
	out := []any{slog.String("says", msg)}
	for _, k := range slices.Sorted(maps.Keys(f)) {
		switch v := f[k]; k {
		case "Topic":
		case "Key": // sometimes a prefix
			if k = "peer"; peerOf(f) == (netip.Addr{}) {
				k = "prefix"
			}
			out = append(out, slog.Any(k, v))
		case "Error", "Err", "error":
			out = append(out, slog.Any("err", v))
		default:
			out = append(out, slog.Any(k, fmt.Sprint(v)))
		}
	}
	return out
}

func peerOf(f log.Fields) netip.Addr {
	s, _ := f["Key"].(string)
	a, _ := netip.ParseAddr(s)
	return a
}
