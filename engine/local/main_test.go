package local

import (
	"os"
	"testing"

	"github.com/airbuild/airbuild/engine/sandbox"
)

// The test binary is its own init process.
func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}
