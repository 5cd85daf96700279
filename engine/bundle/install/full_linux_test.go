package install_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/internal/disktest"
)

// childFill has small file systems in a mount namespace of its own. It gets a
// directory for them and a bundle.
func childFill(args []string) error {
	dir, layout := args[0], args[1]
	if err := disktest.Mount(dir, "size=1m"); err != nil {
		return err
	}
	if err := fillCreate(dir); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		return err
	}
	if err := disktest.Mount(dir, "size=2m"); err != nil {
		return err
	}
	if err := fillImport(dir, layout); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

func fillCreate(dir string) error {
	ctx := context.Background()
	to := filepath.Join(dir, "bundle")
	if _, err := create.Bundle(ctx, to, bundletest.Many().Spec(1), bundletest.ManyOptions); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("on a full disk: %v", err)
	}
	if _, err := bundle.Open(ctx, bundletest.Anyone, to); !errors.Is(err, bundle.ErrRefused) {
		return fmt.Errorf("there is a bundle: %v", err)
	}
	if err := disktest.Remount(dir, "size=64m"); err != nil {
		return err
	}
	if _, err := create.Bundle(ctx, to, bundletest.Many().Spec(1), bundletest.ManyOptions); err != nil {
		return err
	}
	b, err := bundle.Open(ctx, bundletest.Anyone, to)
	if err != nil {
		return err
	}
	defer b.Close()
	r, err := b.Verify(ctx, bundle.VerifyOptions{Deep: true})
	if err != nil || !r.OK() {
		return fmt.Errorf("%+v, %v", r, err)
	}
	return nil
}

func fillImport(dir, layout string) error {
	b, err := bundle.Open(context.Background(), bundletest.Anyone, layout)
	if err != nil {
		return err
	}
	defer b.Close()
	h, err := bundletest.OpenHost(nil, dir)
	if err != nil {
		return err
	}
	defer h.Store.Close()
	if _, err := h.TryImport(b); !errors.Is(err, bundle.ErrSpace) || !strings.Contains(err.Error(), "are free") {
		return fmt.Errorf("too little space: %v", err)
	}
	// Space for the bytes, but not for so many files.
	if err := disktest.Remount(dir, "size=64m,nr_inodes=200"); err != nil {
		return err
	}
	if _, err := h.TryImport(b); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("on a full disk: %v", err)
	}
	if list, err := install.List(h.Cache); err != nil || len(list) > 0 {
		return fmt.Errorf("published: %v, %v", list, err)
	}
	if err := disktest.Remount(dir, "size=64m,nr_inodes=20000"); err != nil {
		return err
	}
	done, err := h.TryImport(b)
	if err != nil || !done.Resumed || done.Kept == 0 {
		return fmt.Errorf("with space: %+v, %v", done, err)
	}
	return nil
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	layout := t.TempDir()
	bundletest.Make(t, layout, bundletest.Many().Spec(1), bundletest.ManyOptions)
	disktest.Run(t, bundletest.Child(t, "fill", t.TempDir(), layout))
}
