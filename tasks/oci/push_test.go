package oci

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

// server is a registry that lets in who has the password.
func server(t *testing.T, password string) string {
	t.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, p, _ := r.BasicAuth(); password != "" && p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// image is a project with an image to push.
func image(t *testing.T, b *tasks.Block) fstest.MapFS {
	t.Helper()
	dir, _ := build(t, b, sample())
	text, err := os.ReadFile(filepath.Join(dir, "dist", "image.oci.tar"))
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{"dist/image.oci.tar": {Data: text}}
}

func pushBlock(to ...string) *tasks.Block {
	b := tasktest.Block("oci_push", "push", fstest.MapFS{})
	b.Project.Confirmed = true
	b.Project.Environ = func(name string) (string, bool) { return "open sesame", name == "PASSWORD" }
	tasktest.Set(b, "image", tasktest.Made("dist/image.oci.tar"))
	tasktest.Set(b, "to", to)
	return b
}

func TestPush(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // no logins of this host
	host := server(t, "")
	for _, platforms := range [][]string{{"linux/amd64", "linux/arm64"}, {"linux/amd64"}} {
		src := sampleBlock(layoutArchive)
		src.Values["binaries"] = built(platforms...)
		in := image(t, src)
		for range 2 { // again: nothing to send
			s := tasktest.Step(t, pushTask{}, pushBlock(host+"/app:v1", host+"/app"))
			if !s.NoCache || !s.Network {
				t.Errorf("%+v", s)
			}
			dir, log, err := tasktest.Run(t, Tools(), s, in)
			if err != nil {
				t.Fatalf("%v\n%s", err, log)
			}
			text, err := os.ReadFile(filepath.Join(dir, "dist", "push.digests"))
			if err != nil || strings.Count(string(text), host+"/app@sha256:") != 2 {
				t.Errorf("%s, %v", text, err)
			}
		}
		ref, err := name.NewTag(host + "/app:v1")
		if err != nil {
			t.Fatal(err)
		}
		if len(platforms) == 2 {
			ix, err := remote.Index(ref)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Index(ix); err != nil {
				t.Error(err)
			}
			continue
		}
		img, err := remote.Image(ref)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(img); err != nil {
			t.Error(err)
		}
	}
}

func TestPushAllowed(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	host := server(t, "open sesame")
	in := image(t, sampleBlock(layoutArchive))
	run := func(edit func(*tasks.Block)) error {
		b := pushBlock(host + "/app:v1")
		edit(b)
		_, _, err := tasktest.Run(t, Tools(), withSecrets(tasktest.Step(t, pushTask{}, b)), in)
		return err
	}
	login := func(b *tasks.Block) {
		tasktest.Set(b, "username", "ci")
		tasktest.Set(b, "password_env", "PASSWORD")
	}
	if err := run(login); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		edit  func(*tasks.Block)
		words string
	}{
		{func(*tasks.Block) {}, "push dist/image.oci.tar to " + host + "/app:v1"},
		{func(b *tasks.Block) { login(b); b.Project.Confirmed = false }, "run again with --yes"},
		{func(b *tasks.Block) { login(b); tasktest.Set(b, "password_env", "OTHER") }, "the variable OTHER is not set"},
	} {
		err := run(tt.edit)
		if err == nil || !strings.Contains(err.Error(), tt.words) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%v, want %q", err, tt.words)
		}
	}
	s := tasktest.Step(t, pushTask{}, func() *tasks.Block { b := pushBlock(host + "/app"); login(b); return b }())
	if strings.Contains(strings.Join(s.Command.Arguments, " "), "sesame") || len(s.Secrets) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestPushMistakes(t *testing.T) {
	for _, tt := range []struct {
		attr  string
		value any
		words string
	}{
		{"to", []string{}, "names no registry"},
		{"to", []string{"app:v1"}, "write HOST/NAME:TAG"},
		{"to", []string{"registry.example/App"}, "in lower case"},
		{"username", "ci", "Name the environment variable"},
		{"password_env", "PASSWORD", "Set username too"},
	} {
		b := pushBlock("registry.example/app:v1")
		tasktest.Set(b, tt.attr, tt.value)
		tasktest.WantError(t, pushTask{}, b, tt.words)
	}
	b := pushBlock("registry.example/app:v1")
	off := false
	b.Meta.Network = &off
	tasktest.WantError(t, pushTask{}, b, "Push without network")
}

// withSecrets does what the executor does: the tool sees secrets.
func withSecrets(s engine.Step) engine.Step {
	s.Command.Env = append(s.Command.Env, s.Secrets...)
	return s
}
