package diagnose

// A provocation makes a program fail in the way that a rule knows. Script is
// for sh, in an empty folder with an environment of its own; where it is empty,
// or a program that it needs is missing, the text that was captured stands for
// it, and captured says of what.
type provocation struct {
	kind     string
	needs    string // programs, separated by blanks
	script   string
	captured string
}

// module writes a small module. Its module proxy is a tree in the folder.
const module = `printf 'module example.com/app\n\ngo 1.21\n' >go.mod; printf 'package main\n\nfunc main() {}\n' >main.go; `

// proxyTree makes a proxy with example.com/dep v1.0.0, whose package is pkg.
const proxyTree = `mkdir -p proxy/example.com/dep/@v tmp/example.com/dep@v1.0.0/pkg; printf 'module example.com/dep\n' >proxy/example.com/dep/@v/v1.0.0.mod; ` +
	`printf '{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}' >proxy/example.com/dep/@v/v1.0.0.info; echo v1.0.0 >proxy/example.com/dep/@v/list; ` +
	`cp proxy/example.com/dep/@v/v1.0.0.mod tmp/example.com/dep@v1.0.0/go.mod; echo 'package pkg' >tmp/example.com/dep@v1.0.0/pkg/p.go; ` +
	`(cd tmp && zip -q -r -D ../proxy/example.com/dep/@v/v1.0.0.zip example.com); rm -r tmp; export GOPROXY="file://$PWD/proxy" GONOSUMDB=example.com; `

const usesDep = `printf 'module example.com/app\n\ngo 1.21\n\nrequire example.com/dep v1.0.0\n' >go.mod; printf 'package main\n\nimport _ "example.com/dep/pkg"\n\nfunc main() {}\n' >main.go; `

var provocations = []provocation{
	{kind: "kernel.inotify", captured: "tail -f and watchers where the limit is 0; changing it would touch the whole host"},
	{kind: "go.vcs-status", needs: "go git", script: module + `git init -q . && GIT_TEST_ASSUME_DIFFERENT_OWNER=1 GOFLAGS=-buildvcs=true go build .`},
	{kind: "git.dubious-ownership", needs: "git", script: `git init -q . && GIT_TEST_ASSUME_DIFFERENT_OWNER=1 git log`},
	{kind: "go.cgo-compiler", needs: "go", script: module + `printf 'package main\n\nimport "C"\n' >c.go; CGO_ENABLED=1 CC=no-such-cc go build .`},
	{kind: "tar.compressor", needs: "tar", script: `echo x >x; tar -c -I no-such-compressor -f x.tar x`},
	{kind: "tar.compressor", needs: "tar", script: `echo x >x; mkdir bin; ln -s "$(command -v tar)" bin/tar; PATH="$PWD/bin" tar -c --zstd -f x.tar x`},
	{kind: "shell.line-endings", needs: "bash", script: `printf 'set -e\r\ntrue\r\n' >x.sh; bash x.sh`},
	{kind: "shell.line-endings", needs: "bash", script: `printf '#!/usr/bin/env bash\r\ntrue\r\n' >x.sh; chmod +x x.sh; ./x.sh`},
	{kind: "shell.interpreter-missing", needs: "bash", script: `printf '#!/no/such/shell\ntrue\n' >x.sh; chmod +x x.sh; bash -c ./x.sh`},

	{kind: "go.sum-mismatch", needs: "go zip", script: proxyTree + usesDep + `printf 'example.com/dep v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nexample.com/dep v1.0.0/go.mod h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n' >go.sum; go build .`},
	{kind: "go.sum-missing", needs: "go zip", script: proxyTree + usesDep + `GOFLAGS=-mod=readonly go build .`},
	{kind: "go.vendor-inconsistent", needs: "go", script: usesDep + `mkdir vendor; echo '# example.com/x v1.0.0' >vendor/modules.txt; GOFLAGS= go build .`},
	{kind: "go.vendor-missing-package", needs: "go", script: module + `mkdir vendor; : >vendor/modules.txt; printf 'package main\n\nimport _ "example.com/dep/pkg"\n' >d.go; go build -mod=vendor .`},
	{kind: "go.module-missing", needs: "go", script: module + `printf 'package main\n\nimport _ "example.com/dep/pkg"\n' >d.go; go build .`},
	{kind: "go.mod-readonly", needs: "go zip", script: proxyTree + usesDep + `GOFLAGS=-mod=mod go mod tidy; sed -i '/^require/d' go.mod; printf 'require example.com/dep v1.0.0 // indirect\nrequire example.com/dep v0.9.0\n' >>go.mod; go list -mod=readonly -m all; go build -mod=readonly .`},
	{kind: "go.toolchain-too-old", needs: "go", script: module + `printf 'module example.com/app\n\ngo 1.999.0\n' >go.mod; go build .`},
	{kind: "go.toolchain-missing", needs: "go", script: module + `printf 'module example.com/app\n\ngo 1.999.0\n' >go.mod; GOTOOLCHAIN=auto GOPROXY=off go build .`},
	{kind: "go.checksum-database", needs: "go zip", script: proxyTree + usesDep + `export GOSUMDB=sum.golang.org HTTPS_PROXY=http://127.0.0.1:1; unset GONOSUMDB; GOFLAGS=-mod=mod go build .`},
	{kind: "go.proxy-off", needs: "go", script: usesDep + `GOPROXY=off GOFLAGS=-mod=mod go build .`},
	{kind: "go.proxy-tree-incomplete", needs: "go", script: usesDep + `mkdir empty; GOPROXY="file://$PWD/empty" GOFLAGS=-mod=mod go build .`},
	{kind: "go.version-unknown", captured: "a proxy that answers 404; a test has no network"},
	{kind: "go.no-module", needs: "go", script: `printf 'package main\n\nfunc main() {}\n' >main.go; go build .`},
	{kind: "go.not-in-workspace", needs: "go", script: module + `mkdir other; printf 'module example.com/other\n\ngo 1.21\n' >other/go.mod; printf 'go 1.21\n\nuse ./other\n' >go.work; go build .`},
	{kind: "go.replace-missing", needs: "go", script: usesDep + `echo 'replace example.com/dep => ../not-here' >>go.mod; go build .`},
	{kind: "go.package-not-in-std", needs: "go", script: module + `printf 'package main\n\nimport _ "nosuch/thing"\n' >d.go; go build .`},
	{kind: "go.internal-package", needs: "go", script: module + `printf 'package main\n\nimport _ "cmd/go/internal/base"\n' >d.go; go build .`},
	{kind: "go.import-cycle", needs: "go", script: module + `mkdir a b; printf 'package a\n\nimport _ "example.com/app/b"\n' >a/a.go; printf 'package b\n\nimport _ "example.com/app/a"\n' >b/b.go; go build ./a`},
	{kind: "go.constraints-exclude", needs: "go", script: module + `mkdir a; printf '//go:build neverset\n\npackage a\n' >a/a.go; go build ./a`},
	{kind: "go.embed-missing", needs: "go", script: module + `printf 'package main\n\nimport _ "embed"\n\n//go:embed none.txt\nvar s string\n' >e.go; go build .`},
	{kind: "go.race-needs-cgo", needs: "go", script: module + `CGO_ENABLED=0 go build -race .`},
	{kind: "go.no-home", needs: "go", script: module + `env -u HOME -u GOCACHE -u XDG_CACHE_HOME go build .`},
	{kind: "go.flags", needs: "go", script: module + `GOFLAGS='-ldflags "x' go build .`},
	{kind: "go.test-timeout", needs: "go", script: module + `printf 'package main\n\nimport (\n\t"testing"\n\t"time"\n)\n\nfunc TestX(t *testing.T) { time.Sleep(time.Hour) }\n' >x_test.go; go test -timeout 50ms .`},
	{kind: "go.wrong-level", captured: "a program built with GOAMD64=v4 on a processor of v2"},
	{kind: "go.undefined", needs: "go", script: module + `printf 'package main\n\nvar x = missing\n' >u.go; go build .`},

	{kind: "c.header-missing", needs: "gcc", script: `echo '#include "none.h"' >x.c; gcc -c x.c`},
	{kind: "c.library-missing", needs: "gcc", script: `echo 'int main(void) { return 0; }' >x.c; gcc x.c -lnone`},
	{kind: "c.wrong-format", needs: "gcc", script: `echo 'int main(void) { return 0; }' >x.c; echo 'nothing' >y.o; gcc x.c y.o`},
	{kind: "c.undefined-reference", needs: "gcc", script: `echo 'int f(void); int main(void) { return f(); }' >x.c; gcc x.c`},
	{kind: "c.multiple-definition", needs: "gcc", script: `echo 'int f(void) { return 0; } int main(void) { return 0; }' >x.c; echo 'int f(void) { return 1; }' >y.c; gcc x.c y.c`},
	{kind: "c.relocation", needs: "gcc uname:x86_64", script: `echo 'int x; int *f(void) { return &x; }' >x.c; gcc -fno-pic -mcmodel=large -c x.c; echo 'int x; int g(void) { return x; }' >y.c; gcc -fno-pic -c y.c; gcc -shared -o x.so y.o`},
	{kind: "c.unknown-option", needs: "gcc", script: `echo >x.c; gcc -mno-such-option -fno-such-option=1 -c x.c`},
	{kind: "c.internal-error", captured: "a C compiler whose part cc1 is not installed"},

	{kind: "loader.glibc-too-old", captured: "a program built on Debian 12 and started on Debian 10"},
	{kind: "loader.version-missing", needs: "gcc uname:x86_64", script: `echo 'A_1 { global: f; local: *; }; A_2 { global: g; } A_1;' >v; echo 'int f(void) { return 0; } int g(void) { return 0; }' >l.c; ` +
		`gcc -shared -fPIC -Wl,--version-script=v -o liba.so l.c; echo 'int g(void); int main(void) { return g(); }' >m.c; gcc -o m m.c -L. -la -Wl,-rpath,'$ORIGIN'; ` +
		`echo 'A_1 { global: f; local: *; };' >v; echo 'int f(void) { return 0; }' >l.c; gcc -shared -fPIC -Wl,--version-script=v -o liba.so l.c; ./m`},
	{kind: "loader.library-missing", needs: "gcc", script: `echo 'int f(void) { return 0; }' >l.c; gcc -shared -fPIC -o liba.so l.c; echo 'int f(void); int main(void) { return f(); }' >m.c; gcc -o m m.c -L. -la; rm liba.so; ./m`},
	{kind: "loader.library-wrong", needs: "gcc", script: `echo 'int f(void) { return 0; }' >l.c; gcc -shared -fPIC -o liba.so l.c; echo 'int f(void); int main(void) { return f(); }' >m.c; gcc -o m m.c -L. -la -Wl,-rpath,'$ORIGIN'; echo nonsense >liba.so; ./m`},
	{kind: "loader.musl-library-missing", captured: "a program of Debian on Alpine"},
	{kind: "loader.musl-symbol-missing", captured: "a program of Debian on Alpine with gcompat"},
	{kind: "loader.symbol-missing", needs: "gcc", script: `echo 'int f(void) { return 0; }' >l.c; gcc -shared -fPIC -o liba.so l.c; echo 'int f(void); int main(void) { return f(); }' >m.c; gcc -o m m.c -L. -la -Wl,-rpath,'$ORIGIN'; echo 'int g;' >l.c; gcc -shared -fPIC -o liba.so l.c; ./m`},
	{kind: "loader.cpu-level", captured: "a program of RHEL 9 (x86-64-v2) on a processor of v1"},
	{kind: "loader.wrong-architecture", needs: "bash", script: `printf '\177ELF\1\2\3' >x; chmod +x x; bash -c ./x`},

	{kind: "git.not-a-repository", needs: "git", script: `git log`},
	{kind: "git.locked", needs: "git", script: `git init -q .; : >.git/index.lock; echo x >x; git add x`},
	{kind: "git.no-identity", needs: "git", script: `git init -q .; git -c user.useConfigOnly=true commit -q --allow-empty -m x`},
	{kind: "git.no-tags", needs: "git", script: `git init -q .; git -c user.name=x -c user.email=x@example.com commit -q --allow-empty -m x; git describe`},
	{kind: "git.unknown-revision", needs: "git", script: `git init -q .; git log v1.2.3 --`},
	{kind: "git.unknown-revision", needs: "git", script: `git init -q .; git diff v1.2.3`},
	{kind: "git.credentials", captured: "a private repository over https with GIT_TERMINAL_PROMPT=0"},
	{kind: "git.no-remote", needs: "git", script: `git clone ./none`},
	{kind: "git.conflict", needs: "git", script: `git init -q -b main .; git config user.name x; git config user.email x@example.com; echo a >x; git add x; git commit -q -m a; git checkout -q -b b; echo b >x; git commit -q -a -m b; git checkout -q main; echo c >x; git commit -q -a -m c; git merge b`},

	{kind: "tar.not-an-archive", needs: "tar", script: `echo '<html>error</html>' >x.tar; tar -xf x.tar`},
	{kind: "tar.not-an-archive", needs: "tar gzip", script: `echo '<html>error</html>' >x.tar.gz; tar -xzf x.tar.gz`},
	{kind: "archive.truncated", needs: "tar gzip", script: `head -c 100000 /dev/urandom >x; tar -czf x.tgz x; head -c 50000 x.tgz >y.tgz; tar -xzf y.tgz`},
	{kind: "archive.truncated", needs: "unzip zip", script: `head -c 100000 /dev/urandom >x; zip -q x.zip x; head -c 50000 x.zip >y.zip; unzip y.zip`},
	{kind: "tar.clock-skew", needs: "tar", script: `echo x >x; touch -d '+10 days' x; tar -cf x.tar x; rm x; tar -xf x.tar; exit 1`},
	{kind: "tar.changed", captured: "a log that grew while it was packed"},
	{kind: "tar.member-missing", needs: "tar", script: `tar -cf x.tar none/file`},
	{kind: "upx.already-packed", needs: "upx gcc", script: `echo 'int main(void) { return 0; }' >m.c; gcc -static -o m m.c; upx -q m >/dev/null; upx -q m`},
	{kind: "upx.cannot-pack", needs: "upx", script: `echo 'no program' >x; upx -q x`},
	{kind: "docker.no-daemon", needs: "docker", script: `DOCKER_HOST=unix:///none.sock docker ps`},
	{kind: "make.no-rule", needs: "make", script: `echo 'all: none.c' >Makefile; make all`},
	{kind: "tls.clock", captured: "a host whose clock stood in 2019"},
	{kind: "tls.unknown-authority", captured: "go mod download behind a proxy that opens connections"},

	{kind: "network.name-not-found", captured: "go and curl on a host without a network; asking a name server would be a use of it"},
	{kind: "network.unreachable", needs: "unshare bash namespaces", script: `unshare -rn bash -c 'echo x >/dev/tcp/192.0.2.1/80'`},
	{kind: "network.refused", needs: "go", script: usesDep + `GOPROXY=http://127.0.0.1:1 GOFLAGS=-mod=mod go build .`},
	{kind: "network.timeout", captured: "go mod download behind a firewall that drops packets"},

	{kind: "kernel.disk-full", needs: "devfull", script: `/bin/echo x >/dev/full`},
	{kind: "kernel.disk-full", needs: "devfull", script: `head -c 10 /dev/zero >x; cp x /dev/full`},
	{kind: "kernel.disk-full", needs: "unshare namespaces", script: `mkdir small; unshare -rm sh -c 'mount -t tmpfs -o size=8k t small && head -c 100000 /dev/zero >small/x'`},
	{kind: "kernel.quota", captured: "cp into a home with a quota"},
	{kind: "kernel.read-only", needs: "unshare namespaces", script: `mkdir ro; unshare -rm sh -c 'mount -t tmpfs -o ro t ro && touch ro/x'`},
	{kind: "kernel.text-busy", needs: "sleep", script: `cp "$(command -v sleep)" s; ./s 5 & sleep 0.2; cp /dev/null s; kill $!; exit 1`},
	{kind: "kernel.file-in-use", captured: "the text of Windows for ERROR_SHARING_VIOLATION, as the go command prints it for a program that runs"},
	{kind: "kernel.too-many-files", needs: "bash", script: `bash -c 'ulimit -n 12; for i in $(seq 30); do eval "exec $((i+20))<x"; done; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do exec {fd}</dev/null; done; cat x'`},
	{kind: "kernel.no-more-processes", captured: "make -j100 under ulimit -u; root has no such limit"},
	{kind: "kernel.out-of-memory", needs: "bash", script: `printf 'kill -9 $$\n' >x.sh; bash -c 'bash x.sh; exit 1'`},
	{kind: "kernel.illegal-instruction", needs: "bash", script: `printf 'kill -ILL $$\n' >x.sh; bash -c 'bash x.sh; exit 1'`},
	{kind: "kernel.segfault", needs: "bash", script: `ulimit -c 0; printf 'kill -SEGV $$\n' >x.sh; bash -c 'bash x.sh; exit 1'`},
	{kind: "kernel.argument-list", needs: "sh", script: `/bin/echo $(seq 600000) >/dev/null`},
	{kind: "kernel.name-too-long", needs: "touch", script: `touch "$(printf '%0300d' 0)"`},
	{kind: "kernel.link-loop", needs: "ln", script: `ln -s a b; ln -s b a; cat a`},
	{kind: "kernel.other-file-system", needs: "ln shm", script: `echo x >x; ln x /dev/shm/airbuild-test-$$`},
	{kind: "shell.command-not-found", needs: "sh", script: `no-such-program --version`},
	{kind: "shell.command-not-found", needs: "bash", script: `bash -c 'no-such-program'`},
	{kind: "kernel.permission", needs: "sh", script: `echo true >x.sh; ./x.sh`},
	{kind: "kernel.permission", needs: "sh", script: `echo true >"$PWD/x.sh"; "$PWD/x.sh"`},
	{kind: "kernel.relative-path", needs: "cat", script: `cat config/none.txt`},
	{kind: "kernel.relative-path", needs: "sh", script: `cat <config/none.txt`},
	{kind: "kernel.relative-path", needs: "go", script: module + `printf 'package main\n\nimport "os"\n\nfunc main() {\n\tif _, err := os.Open("none.txt"); err != nil {\n\t\tprintln(err.Error())\n\t\tos.Exit(1)\n\t}\n}\n' >main.go; go run .`},
	{kind: "kernel.file-missing", needs: "ls", script: `ls /no/such/file`},
}
