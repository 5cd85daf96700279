package deploy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/airbuild/airbuild/internal/ctxio"
)

// MaxBody is how much of an answer is looked at, in bytes.
const MaxBody = 1 << 20

const defaultTry = 10 * time.Second

// check runs a release's health check until it passes or no try is left. A
// release without a check is healthy.
func (d *deployment) check(ctx context.Context, rel *Release, slot string) error {
	h := rel.Plan.Health
	if h == nil {
		return nil
	}
	limit := h.Timeout
	if limit <= 0 {
		limit = defaultTry
	}
	var err error
	for try := 0; try <= h.Retries; try++ {
		if try > 0 {
			if err := ctxio.Wait(ctx, h.Interval); err != nil {
				return err
			}
		}
		if len(h.Command) > 0 {
			err = d.command(ctx, h.Command, d.words(rel, slot), d.dir.releaseDir(rel.ID), limit)
		} else {
			err = h.ask(ctx, d.words(rel, slot).fill(h.URL), limit)
		}
		if err == nil {
			d.logf("health check of %s: passed at try %d", rel.ID, try+1)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.logf("health check of %s: try %d of %d: %v", rel.ID, try+1, h.Retries+1, err)
	}
	return fmt.Errorf("health check of %s failed: %w", rel.ID, err)
}

// ask asks once, on a connection of its own, without a proxy, and follows no
// redirection: it is about the program that listens there.
func (h *Health) ask(ctx context.Context, url string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("ask %s: no answer within %v", url, limit)
		}
		return err
	}
	defer resp.Body.Close()
	want := cmp.Or(h.Status, http.StatusOK)
	if resp.StatusCode != want {
		return fmt.Errorf("ask %s: status %d, want %d", url, resp.StatusCode, want)
	}
	if h.Contains == "" {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody))
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	if !bytes.Contains(body, []byte(h.Contains)) {
		return fmt.Errorf("ask %s: the answer does not contain %q", url, h.Contains)
	}
	return nil
}
