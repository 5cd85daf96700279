package manifest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/canonjson"
)

// formatVersion is the version of both files.
const formatVersion = 1

// A metadata is metadata.json, version 1.
type metadata struct {
	Version     int               `json:"format_version"`
	ProjectName string            `json:"project_name"`
	Release     string            `json:"version,omitempty"`
	Tag         string            `json:"tag,omitempty"`
	Commit      string            `json:"commit,omitempty"`
	Date        string            `json:"date,omitempty"` // of the commit, RFC 3339
	Extra       map[string]string `json:"extra,omitempty"`
}

// An artifacts is artifacts.json, version 1.
type artifacts struct {
	Version   int        `json:"format_version"`
	Artifacts []artifact `json:"artifacts"`
}

// An artifact is one file, or the sum of a directory.
type artifact struct {
	Name    string `json:"name"`
	Path    string `json:"path"` // relative to the folder of artifacts.json
	Type    string `json:"type"`
	Stage   string `json:"stage"`
	Cell    string `json:"cell,omitempty"`
	OS      string `json:"os,omitempty"`
	Arch    string `json:"arch,omitempty"`
	Variant string `json:"variant,omitempty"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
}

// runTool writes both files.
func runTool(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	m := metadata{Version: formatVersion, ProjectName: sp.Name, Release: sp.Version, Tag: sp.Tag, Commit: sp.Commit, Date: sp.Date}
	for _, e := range sp.Extra {
		if m.Extra == nil {
			m.Extra = map[string]string{}
		}
		m.Extra[e.Name] = e.Value
	}
	all := artifacts{Version: formatVersion}
	for _, made := range sp.Made {
		found, err := describe(ctx, call.In, &made, path.Dir(sp.Artifacts))
		if err != nil {
			return fmt.Errorf("describe %s: %w", made.Path, err)
		}
		all.Artifacts = append(all.Artifacts, found...)
	}
	if err := write(call.Dir, sp.Metadata, m); err != nil {
		return err
	}
	return write(call.Dir, sp.Artifacts, all)
}

// describe reads an output; of a directory every file below it.
func describe(ctx context.Context, in fs.FS, m *made, base string) (list []artifact, err error) {
	err = fs.WalkDir(in, m.Path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		sum, err := action.OfFile(in.Open(p))
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(filepath.FromSlash(base), filepath.FromSlash(p))
		if err != nil {
			return err
		}
		list = append(list, artifact{
			Name: path.Base(p), Path: filepath.ToSlash(rel), Type: m.Type, Stage: m.Stage, Cell: m.Cell,
			OS: m.OS, Arch: m.Arch, Variant: m.Variant, Size: sum.Size, SHA256: sum.Hex(),
		})
		return nil
	})
	return list, err
}

func write(dir, name string, v any) error {
	b, err := canonjson.Indented(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(file, b, 0o666); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
