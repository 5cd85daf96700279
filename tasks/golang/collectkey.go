package golang

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// collectionVersion changes when Collect makes something else of the same
// project.
const collectionVersion = "1"

// CollectionKey names what Collect goes by, except for o.Heads: two that have
// one key collect the same modules and toolchains, verified by the same rules.
// It changes with every module file of the project, with those of replacements
// outside of it, with Go's release, and with the user's settings of where
// modules come from and who vouches for them. It reaches no network.
func CollectionKey(ctx context.Context, c *gocmd.Config, o Collection) (string, error) {
	k := &collecting{cfg: c, o: o, project: os.DirFS(c.Root)}
	lines, err := k.describe(ctx)
	if err != nil {
		return "", fmt.Errorf("name the files to collect: %w", err)
	}
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:]), nil
}

// describe lists all that the modules hang on, one a line.
func (k *collecting) describe(ctx context.Context) ([]string, error) {
	tc, err := k.cfg.FoundToolchain()
	if err != nil {
		return nil, err
	}
	lines := []string{"airbuild-collection " + collectionVersion, "go " + tc.Version}
	for _, name := range [...]string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOVCS"} {
		v, err := k.cfg.Setting(ctx, tc, name)
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%s %q", name, v))
	}
	units, err := k.units()
	if err != nil {
		return nil, err
	}
	for _, u := range units {
		lines = append(lines, fmt.Sprintf("unit %q %q %v", u.module.Work, u.module.Root, u.member))
		for _, name := range u.module.Files() {
			more, err := k.describeFile(name)
			if err != nil {
				return nil, err
			}
			lines = append(lines, more...)
		}
	}
	for _, t := range k.o.Toolchains {
		lines = append(lines, "toolchain "+t.String())
	}
	return lines, nil
}

// describeFile tells a module file's content, and that of the go.mod files
// outside the project which it leads to.
func (k *collecting) describeFile(name string) ([]string, error) {
	text, err := fs.ReadFile(k.project, name)
	if errors.Is(err, fs.ErrNotExist) {
		return []string{fmt.Sprintf("no %q", name)}, nil
	}
	if err != nil {
		return nil, err
	}
	lines := []string{fmt.Sprintf("file %q %x", name, sha256.Sum256(text))}
	if base := path.Base(name); base != "go.mod" && base != "go.work" {
		return lines, nil
	}
	dirs, err := outsideDirs(k.cfg.Root, name, text)
	if err != nil {
		return nil, err
	}
	for _, mod := range slices.Sorted(maps.Keys(dirs)) {
		outside, err := os.ReadFile(filepath.Join(dirs[mod], "go.mod"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("outside %q %q %x", mod, dirs[mod], sha256.Sum256(outside)))
	}
	return lines, nil
}
