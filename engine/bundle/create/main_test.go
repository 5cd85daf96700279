package create_test

import (
	"context"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
)

func TestMain(m *testing.M) {
	bundletest.Main(m, map[string]func([]string) error{"create": childCreate})
}

func childCreate(args []string) error {
	_, err := create.Bundle(context.Background(), args[0], bundletest.Many().Spec(1), bundletest.ManyOptions)
	return err
}
