package bundling

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/hosts"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
)

// HostMisfits is what of this host is not as the Airbuildfile wants that the bundle
// brought to dir. If that file does not plan here nothing is known; strict makes that
// an error.
func HostMisfits(ctx context.Context, opts project.Options, b *bundle.Bundle, dir string, strict bool) ([]host.Row, error) {
	name := cmp.Or(b.Root().Metadata["file"], project.FileName)
	opts.File = filepath.Join(dir, filepath.Base(name))
	p, err := project.Load(ctx, opts)
	if err != nil {
		if strict {
			return nil, fmt.Errorf("check this host: %s does not plan here; try airbuild validate there: %w", opts.File, err)
		}
		return nil, ctx.Err()
	}
	if p.Plan.Host == nil || p.Plan.Host.Empty() {
		return nil, nil
	}
	fp, err := host.Take(ctx, hosts.WantedBy(&opts, p.Root, p.Plan.Host))
	if err != nil {
		return nil, fmt.Errorf("check this host: %w", err)
	}
	return slices.DeleteFunc(host.Check(p.Plan.Host, fp), func(r host.Row) bool { return r.Status != host.Mismatch }), nil
}

// ResultScope is where the results of a bundle count: everywhere if enough of
// those who signed it are trusted for that, else only for source of its series.
func ResultScope(ring *sign.Keyring, b *bundle.Bundle, signers int) (store.Scope, error) {
	n := 0
	for _, key := range b.Signers() {
		entries, err := ring.Entries(key)
		if err != nil {
			return store.Scope{}, err
		}
		if slices.ContainsFunc(entries, func(e sign.Entry) bool { return e.Own || e.Grant.Everywhere() }) {
			n++
		}
	}
	if n >= signers {
		return store.Scope{}, nil
	}
	return carry.ScopeOf(b), nil
}

// An ImportReport is what bundle import tells as JSON.
type ImportReport struct {
	Event    string              `json:"event"` // "imported"
	Digest   string              `json:"digest"`
	Name     string              `json:"name"`
	Signers  []string            `json:"signers"` // key ids
	Already  bool                `json:"already"`
	Resumed  bool                `json:"resumed"`
	Files    int                 `json:"files"`
	Bytes    int64               `json:"bytes"`
	Kept     int                 `json:"kept"`
	Results  string              `json:"results"` // where they count: "everywhere", or in source of the "series"
	Unpacked []UnpackedComponent `json:"unpacked"`
	Host     []host.Row          `json:"host"` // what does not fit
	Run      string              `json:"run,omitempty"`
	Needs    []string            `json:"needs,omitempty"` // what Run needs beside
}

type UnpackedComponent struct {
	Component string   `json:"component"`
	Dir       string   `json:"dir"`
	Files     int      `json:"files"`
	Written   int      `json:"written"`
	Removed   int      `json:"removed"`
	Left      []string `json:"left"` // no longer part of it, and changed
}
