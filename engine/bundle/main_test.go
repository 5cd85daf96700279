package bundle

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle/internal/files"
)

// childEnv names what the test binary does instead of testing, so that tests
// can have other processes.
const childEnv = "AIRBUILD_BUNDLE_TEST_CHILD"

var update = flag.Bool("update", false, "rewrite the fixtures")

var children = map[string]func([]string) error{"create": childCreate, "import": childImport, "fill": childFill}

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		if err := children[role](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t testing.TB, role string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	return cmd
}

// many is a tree of many files, of some megabytes.
func many() tree {
	x := tree{"source": {}, "modules": {"big.zip": "PK\x03\x04" + noise(1, 3<<20)}, "actions": {}}
	for i := range 300 {
		x["source"][fmt.Sprintf("dir%d/file%d.go", i%7, i)] = prose(uint64(i), 100+i*40)
		addResult(x["actions"], fmt.Sprint("out", i), prose(uint64(i), 90+i*37))
	}
	return x
}

var manyOptions = CreateOptions{PackSize: 400000}

func childCreate(args []string) error {
	_, err := Create(context.Background(), args[0], many().spec(1), manyOptions)
	return err
}

func childImport(args []string) error {
	h, err := openHost(nil, args[1])
	if err != nil {
		return err
	}
	defer h.store.Close()
	b, err := Open(context.Background(), anyone, args[0])
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = h.tryImport(b)
	return err
}

// noTemps holds that no temporary file is left.
func noTemps(t testing.TB, dir string) {
	t.Helper()
	for name := range readTree(t, dir) {
		if strings.HasPrefix(filepath.Base(name), files.TempPrefix) {
			t.Errorf("%s is left", name)
		}
	}
}
