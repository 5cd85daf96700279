package install_test

import (
	"context"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
)

func TestMain(m *testing.M) {
	bundletest.Main(m, map[string]func([]string) error{"import": childImport, "fill": childFill})
}

func childImport(args []string) error {
	h, err := bundletest.OpenHost(nil, args[1])
	if err != nil {
		return err
	}
	defer h.Store.Close()
	b, err := bundle.Open(context.Background(), bundletest.Anyone, args[0])
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = h.TryImport(b)
	return err
}
