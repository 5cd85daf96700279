package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The test binary is three programs more: an init process, a client that is
// linked as Go programs are, and these tests as an ordinary user.
func TestMain(m *testing.M) {
	Main()
	if len(os.Args) > 2 && os.Args[1] == "client" {
		client(os.Args[2], os.Args[3])
	}
	if len(os.Args) == 2 && os.Args[1] == "writable" {
		writable()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// client dials, looks up, sends, or echoes on loopback.
func client(what, arg string) {
	var err error
	switch what {
	case "dial":
		_, err = net.DialTimeout("tcp", arg, 5*time.Second)
	case "lookup":
		_, err = (&net.Resolver{PreferGo: true}).LookupHost(context.Background(), arg)
	case "send":
		var c net.PacketConn
		var to *net.UDPAddr
		if c, err = net.ListenPacket("udp", ":0"); err == nil {
			if to, err = net.ResolveUDPAddr("udp", arg); err == nil {
				_, err = c.WriteTo([]byte("x"), to)
			}
		}
	case "sendmsg", "sendmmsg":
		err = sendMessage(what, arg)
	case "ring":
		if _, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 8, uintptr(unsafe.Pointer(&[120]byte{})), 0); e != 0 {
			err = e
		}
	case "loopback":
		err = echo(arg)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(7)
	}
	os.Exit(0)
}

// sendMessage sends two datagrams: the first to this host, the second to addr.
func sendMessage(call, addr string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	to, err := net.ResolveUDPAddr("udp4", addr)
	if err != nil {
		return err
	}
	here := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}
	there := &unix.SockaddrInet4{Addr: [4]byte(to.IP.To4()), Port: to.Port}
	if call == "sendmsg" {
		return errors.Join(unix.Sendmsg(fd, []byte("x"), nil, here, 0), unix.Sendmsg(fd, []byte("x"), nil, there, 0))
	}
	var names [2]unix.RawSockaddrInet4
	data := unix.Iovec{Base: new(byte), Len: 1}
	var messages [2]struct {
		header unix.Msghdr
		sent   uint32
	}
	for i, a := range []*unix.SockaddrInet4{here, there} {
		names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr, Port: uint16(a.Port<<8 | a.Port>>8)}
		messages[i].header = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&names[i])), Namelen: unix.SizeofSockaddrInet4, Iov: &data, Iovlen: 1}
	}
	n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages)), 2, 0, 0, 0)
	if e != 0 {
		return e
	}
	if n != 1 { // the error of the second is the next call's
		return fmt.Errorf("%d of 2 messages were sent", n)
	}
	return unix.Sendmsg(fd, []byte("x"), nil, there, 0)
}

func echo(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Write([]byte("hello"))
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	b := make([]byte, 5)
	_, err = c.Read(b)
	return err
}

// A rig is a sandbox and what was told of it.
type rig struct {
	t       *testing.T
	sandbox *Sandbox
	spec    Spec

	mu   sync.Mutex
	told []Attempt
}

// newRig opens a sandbox, or skips the test where the host has no namespaces.
func newRig(t *testing.T, h *Host, s Spec) *rig {
	t.Helper()
	sup := h.Support(context.Background())
	if h.Limit == None && sup.Method != Namespaces {
		t.Skipf("this host has no namespaces: %s", sup.Reason)
	}
	r := &rig{t: t, spec: s}
	b, err := h.Open(context.Background(), s, func(a Attempt) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, a)
	})
	if err != nil {
		t.Fatal(err)
	}
	r.sandbox = b
	t.Cleanup(func() { b.Close() })
	return r
}

// run runs a command and returns what it said, and how it ended.
func (r *rig) run(argv ...string) (string, error) {
	r.t.Helper()
	var out bytes.Buffer
	path, err := exec.LookPath(argv[0])
	if err != nil {
		r.t.Fatal(err)
	}
	dir := "/"
	if len(r.spec.Write) > 0 {
		dir = r.spec.Write[0]
	}
	err = r.sandbox.Run(context.Background(), &Cmd{
		Path: path, Args: argv, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: dir,
		Stdout: &out, Stderr: &out, Grace: time.Second,
	})
	return out.String(), err
}

// named waits until an attempt was told that contains all of words.
func (r *rig) named(words ...string) {
	r.t.Helper()
	if !r.sandbox.named {
		r.t.Log("attempts are not named here: this test runs under a supervisor itself")
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.told {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(a.String(), w) }) {
			return
		}
	}
	r.t.Errorf("told %v, want one with %q", r.told, words)
}

func self(t *testing.T) string {
	t.Helper()
	p, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNetworkIsOffAndNamed(t *testing.T) {
	r := newRig(t, &Host{}, Spec{})
	me := self(t)
	comm := filepath.Base(me)
	comm = comm[:min(len(comm), 15)]
	for _, tt := range []struct{ what, to, said, told string }{
		{"dial", "192.0.2.7:8080", "unreachable", "connect 192.0.2.7:8080"},
		{"dial", "[2001:db8::7]:443", "", "connect [2001:db8::7]:443"},
		{"send", "192.0.2.8:53", "unreachable", "send 192.0.2.8:53"},
		{"sendmsg", "192.0.2.9:53", "unreachable", "send 192.0.2.9:53"},
		{"sendmmsg", "192.0.2.10:53", "unreachable", "send 192.0.2.10:53"},
		{"lookup", "proxy.example.com", "", "lookup proxy.example.com"},
	} {
		out, err := r.run(me, "client", tt.what, tt.to)
		if err == nil || !strings.Contains(out, tt.said) {
			t.Errorf("%s %s: %v, %s", tt.what, tt.to, err, out)
		}
		who := comm + "["
		if tt.what == "lookup" {
			if !r.sandbox.named && os.Getuid() == 0 {
				who = "a process" // in a sandbox of root's, which has no /proc of its own
			}
			r.sandbox.named = true // the name server needs no supervisor
		}
		r.named(who, tt.told)
	}
	if out, err := r.run(me, "client", "loopback", "127.0.0.1:0"); err != nil {
		t.Errorf("loopback: %v, %s", err, out)
	}
	if out, err := r.run(me, "client", "loopback", "[::1]:0"); err != nil && !strings.Contains(out, "assign") {
		t.Errorf("IPv6 loopback: %v, %s", err, out)
	}
}

// io_uring sends past the filter, so there is none where the network is off.
func TestNoRing(t *testing.T) {
	s := Spec{Network: true, View: Declared, Dir: t.TempDir(), Programs: []string{self(t)}}
	if out, err := newRig(t, &Host{}, s).run(self(t), "client", "ring", ""); err != nil {
		t.Skipf("this host has no io_uring: %s", out)
	}
	r := newRig(t, &Host{}, Spec{})
	out, err := r.run(self(t), "client", "ring", "")
	if r.sandbox.named && (err == nil || !strings.Contains(out, "function not implemented")) {
		t.Errorf("%v, %s", err, out)
	}
}

// A program of the C library resolves through resolv.conf.
func TestCurlIsNamed(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	for _, view := range []View{Whole, Declared} {
		r := newRig(t, &Host{}, declared(t, view))
		if out, err := r.run("curl", "-sS", "-m", "10", "http://example.com/"); err == nil {
			t.Errorf("curl: %s", out)
		}
		r.named("curl[", "lookup example.com")
		r.run("curl", "-sS", "-m", "10", "http://192.0.2.7:8080/")
		r.named("curl[", "connect 192.0.2.7:8080")
	}
}

// declared is a Spec of a view with a directory to work in.
func declared(t *testing.T, v View) Spec {
	t.Helper()
	if v != Declared {
		return Spec{}
	}
	dir := t.TempDir()
	s := Spec{View: Declared, Dir: dir, Tmp: filepath.Join(dir, "tmp"), Write: []string{filepath.Join(dir, "a work"), filepath.Join(dir, "tmp")}}
	for _, d := range s.Write {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestNetworkStaysWhereAllowed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := declared(t, Declared)
	s.Programs = []string{self(t)}
	off := newRig(t, &Host{}, s)
	if out, err := off.run(self(t), "client", "dial", l.Addr().String()); err == nil {
		t.Errorf("the host's loopback was reached: %s", out)
	}
	s = declared(t, Declared)
	s.Programs, s.Network = []string{self(t)}, true
	on := newRig(t, &Host{}, s)
	if out, err := on.run(self(t), "client", "dial", l.Addr().String()); err != nil {
		t.Errorf("with the network: %v, %s", err, out)
	}
}

func TestDeclaredView(t *testing.T) {
	home := t.TempDir()
	secret := filepath.Join(home, "secret")
	tool := filepath.Join(home, "opt", "x", "bin", "tool")
	link := filepath.Join(home, "link")
	extra := filepath.Join(home, "lib", "data")
	for name, text := range map[string]string{
		secret: "no", tool: "#!/bin/sh\necho tool; cat \"${0%/*}\"/../share", filepath.Join(home, "opt", "x", "share"): "share", extra: "data",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("opt/x/bin/tool", link); err != nil {
		t.Fatal(err)
	}
	s := declared(t, Declared)
	s.Read, s.Programs, s.Hide = []string{extra, filepath.Join(home, "none"), filepath.Join(home, "opt", "x")}, []string{tool}, []string{home}
	r := newRig(t, &Host{}, s)
	for line, want := range map[string]string{
		"cat " + secret:                 "No such file",
		"cat " + extra:                  "data",
		"echo x > " + extra:             "Read-only",
		tool:                            "tool",
		"ls " + home + "/":              "lib\nopt\n",
		"echo x > /new":                 "Read-only",
		"echo x > /usr/new":             "Read-only",
		"echo x > here && cat here":     "x",
		"echo x > /tmp/t && cat /tmp/t": "x",
		"ls -A /home /root":             "No such file",
		"cat /etc/hostname":             "No such file",
		"hostname 2>/dev/null || cat /proc/sys/kernel/hostname": "airbuild",
		"cat /etc/hosts":                            "localhost",
		"echo x > /dev/null && echo fine":           "fine",
		"test -r /dev/urandom && echo fine":         "fine",
		"ls /proc/self/fd > /dev/null && echo fine": "fine",
		"ls -d /.outside":                           "No such file",
		"id -u":                                     strconv.Itoa(os.Getuid()),
		"umount /usr || echo not":                   "not",
		"mount -o remount,rw / || echo not":         "not",
		"echo $$; ps 2>/dev/null | wc -l":           "",
	} {
		out, _ := r.run("sh", "-c", line)
		if !strings.Contains(out, want) {
			t.Errorf("%s: %q, want %q", line, out, want)
		}
	}
	if b, err := os.ReadFile(filepath.Join(s.Write[0], "here")); err != nil || string(b) != "x\n" {
		t.Errorf("what was written: %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(s.Tmp, "t")); err != nil || string(b) != "x\n" {
		t.Errorf("/tmp: %q, %v", b, err)
	}
}

// Nothing is written: whether the kernel's files can be opened for it is enough.
func TestKernelIsProtected(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("to others than root the files are closed by their modes")
	}
	for _, v := range []View{Whole, Declared} {
		s := Spec{}
		if v == Declared {
			s = declared(t, Declared)
			s.Read = []string{self(t)}
		}
		for _, network := range []bool{false, true} {
			s.Network = network
			r := newRig(t, &Host{}, s)
			out, err := r.run(self(t), "writable")
			if err != nil || out != "" {
				t.Errorf("view %v, network %v: %v\n%s", v, network, err, out)
			}
			// What a process says of itself stays its own.
			if out, err := r.run("sh", "-c", "echo 500 > /proc/self/oom_score_adj && cat /proc/sys/kernel/ostype /proc/self/oom_score_adj"); err != nil || out != "Linux\n500\n" {
				t.Errorf("view %v: %q, %v", v, out, err)
			}
		}
	}
}

// writable prints the kernel's settings that this process can open for writing,
// and files that show the host's memory or keys.
func writable() {
	for _, root := range kernelReadOnly {
		filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if f, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil {
				f.Close()
				fmt.Println("can be written:", name)
			}
			return nil
		})
	}
	for _, name := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list"} {
		if b, err := os.ReadFile(name); err == nil && len(b) > 0 {
			fmt.Println("can be read:", name)
		}
	}
}

// A project below a system directory is hidden all the same.
// TestPlaces: the host's files stay where they are, and Places are at their
// second path too.
func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	project := filepath.Join(dir, "a project")
	if err := os.Mkdir(project, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(project, "f")
	if err := os.WriteFile(file, []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, &Host{}, Spec{Dir: filepath.Join(dir, "box"), Places: []Place{{project, Own + "/project"}}})
	for _, name := range []string{file, Own + "/project/f", "/proc/self/stat", "/dev/null", "/bin/sh"} {
		if out, err := r.run("test", "-e", name); err != nil {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
	if out, err := r.run("sh", "-c", "echo more > "+Own+"/project/g && ls /"); err != nil || !strings.Contains(out, filepath.Base(Own)+"\n") || strings.Contains(out, "outside") {
		t.Errorf("%v\n%s", err, out)
	}
	if b, err := os.ReadFile(filepath.Join(project, "g")); err != nil || string(b) != "more\n" {
		t.Errorf("%q, %v", b, err)
	}
	for _, name := range []string{Own + "/x", "/airbuild-x"} {
		if out, err := r.run("touch", name); err == nil {
			t.Errorf("%s could be made: %s", name, out)
		}
	}
}

func TestHide(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root makes files below /usr")
	}
	project, err := os.MkdirTemp("/usr/src", "sandbox-test-")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(project)
	work := filepath.Join(project, "cache", "work")
	if err := errors.Join(os.WriteFile(filepath.Join(project, "secret"), nil, 0o666), os.MkdirAll(work, 0o777)); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, &Host{}, Spec{View: Declared, Dir: t.TempDir(), Write: []string{work}, Hide: []string{project, "/", "/none"}})
	out, _ := r.run("sh", "-c", "ls -A "+project+"; echo x > out; ls /usr/bin/env")
	if out != "cache\n/usr/bin/env\n" {
		t.Errorf("seen: %q", out)
	}
	if _, err := os.Stat(filepath.Join(work, "out")); err != nil {
		t.Error(err)
	}
}

func TestExits(t *testing.T) {
	r := newRig(t, &Host{}, Spec{})
	var exit *ExitError
	if _, err := r.run("sh", "-c", "exit 3"); !errors.As(err, &exit) || exit.Code != 3 {
		t.Errorf("exit 3: %v", err)
	}
	if _, err := r.run("sh", "-c", "kill -TERM $$"); !errors.As(err, &exit) || exit.Signal != syscall.SIGTERM || exit.Code != -1 {
		t.Errorf("SIGTERM: %v", err)
	}
	err := r.sandbox.Run(context.Background(), &Cmd{Path: "/no/such", Args: []string{"x"}, Dir: "/"})
	var start *StartError
	if !errors.As(err, &start) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
	mask := syscall.Umask(0o027)
	defer syscall.Umask(mask)
	r = newRig(t, &Host{}, Spec{})
	if out, _ := r.run("sh", "-c", "umask"); out != "0027\n" {
		t.Errorf("umask %q", out)
	}
}

func TestStreams(t *testing.T) {
	r := newRig(t, &Host{}, Spec{})
	var out, errs bytes.Buffer
	big := strings.Repeat("0123456789abcdef", 1<<16)
	err := r.sandbox.Run(context.Background(), &Cmd{
		Path: "/bin/sh", Args: []string{"sh", "-c", "cat; echo bad >&2; printf %s \"$ODD\""}, Env: []string{"PATH=" + os.Getenv("PATH"), "ODD=\xff\xfe"}, Dir: "/",
		Stdin: strings.NewReader(big), Stdout: &out, Stderr: &errs, Grace: time.Second,
	})
	if err != nil || out.String() != big+"\xff\xfe" || errs.String() != "bad\n" {
		t.Errorf("%v, %d bytes, %q", err, out.Len(), errs.String())
	}
	if err := r.sandbox.Run(context.Background(), &Cmd{Path: "/bin/true", Args: []string{"true"}, Env: []string{"BIG=" + big[:100<<10], "MORE=" + big[:100<<10], "YET=" + big[:100<<10]}, Dir: "/"}); err != nil {
		t.Errorf("a large environment: %v", err)
	}
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			var out bytes.Buffer
			err := r.sandbox.Run(context.Background(), &Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", fmt.Sprint("echo ", i, "; exit ", i)}, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: "/", Stdout: &out, Grace: time.Second})
			var exit *ExitError
			if errors.As(err, &exit) != (i > 0) || i > 0 && exit.Code != i || out.String() != fmt.Sprintln(i) {
				t.Errorf("%d: %v, %q", i, err, out.String())
			}
		})
	}
	wg.Wait()
}

// Processes of one sandbox share its loopback and its processes; what is left
// in the background ends with the sandbox, also outside its process group.
func TestNothingOutlives(t *testing.T) {
	r := newRig(t, &Host{}, Spec{})
	dir := t.TempDir()
	out, err := r.run("sh", "-c", "cd "+dir+"; setsid sh -c 'echo up > up; while :; do sleep 1; done' >/dev/null 2>&1 & sleep 0.2; cat up")
	if err != nil || out != "up\n" {
		t.Fatalf("%v, %q", err, out)
	}
	pids := func() string {
		b, _ := exec.Command("pgrep", "-f", "echo up > up; while").Output()
		return string(b)
	}
	if _, err := exec.LookPath("pgrep"); err != nil {
		t.Skip("pgrep is not installed")
	}
	if pids() == "" {
		t.Fatal("the process did not stay in the background")
	}
	r.sandbox.Close()
	for range 100 {
		if pids() == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("left: %s", pids())
}

func TestCancelIsPoliteThenSure(t *testing.T) {
	r := newRig(t, &Host{}, Spec{})
	for line, want := range map[string]string{
		"trap 'echo asked; exit 0' INT; echo up; while :; do sleep 0.05; done": "up\nasked\n",
		"trap '' INT; echo up; while :; do sleep 0.05; done":                   "up\n",
	} {
		ctx, cancel := context.WithCancel(context.Background())
		var out firstWrite
		out.first = cancel
		err := r.sandbox.Run(ctx, &Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", line}, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: "/", Stdout: &out, Grace: 300 * time.Millisecond})
		if !errors.Is(err, context.Canceled) || out.all.String() != want {
			t.Errorf("%s: %v, %q", line, err, out.all.String())
		}
		cancel()
	}
}

// A firstWrite calls first at its first write.
type firstWrite struct {
	all   bytes.Buffer
	first func()
}

func (b *firstWrite) Write(p []byte) (int, error) {
	defer b.first()
	return b.all.Write(p)
}

// Without namespaces the filter refuses, and Landlock keeps files away.
func TestFilterMethod(t *testing.T) {
	h := &Host{Limit: Filter}
	if sup := h.Support(context.Background()); sup.Method != Filter {
		t.Skipf("this host has no system call filter for us: %s", sup.Reason)
	}
	r := newRig(t, h, Spec{})
	me := self(t)
	for what, to := range map[string]string{"dial": "192.0.2.7:8080", "send": "192.0.2.8:53", "sendmsg": "192.0.2.9:53", "sendmmsg": "192.0.2.10:53"} {
		if out, err := r.run(me, "client", what, to); err == nil || !strings.Contains(out, "unreachable") {
			t.Errorf("%s: %v, %s", what, err, out)
		}
		r.named(to)
	}
	if out, err := r.run(me, "client", "loopback", "127.0.0.1:0"); err != nil {
		t.Errorf("loopback: %v, %s", err, out)
	}
	if !h.Support(context.Background()).Landlock {
		return // said by TestLandlock
	}
	s := declared(t, Declared)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("no"), 0o666); err != nil {
		t.Fatal(err)
	}
	r = newRig(t, h, s)
	if out, _ := r.run("sh", "-c", "cat "+secret+"; echo x > here; cat here; mkdir d; mv here d/"); !strings.Contains(out, "Permission denied") || !strings.HasSuffix(out, "x\n") {
		t.Errorf("said %q", out)
	}
	if !r.sandbox.FilesHidden() {
		t.Error("it does not say that files are hidden")
	}
}

// In a namespace without a network nothing has to be made.
func TestNested(t *testing.T) {
	r := newRig(t, &Host{}, Spec{})
	out, err := r.run(self(t), "-test.run=^(TestNetworkIsOffAndNamed|TestDeclaredView|TestPlaces|TestExits|TestOffline)$", "-test.v")
	if err != nil || strings.Contains(out, "SKIP: TestExits") {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "offline: true") {
		t.Errorf("it has a network:\n%s", out)
	}
}

func TestOffline(t *testing.T) {
	t.Logf("offline: %v", offline())
	s := Support{Offline: true, Landlock: true, Reason: "x"}
	if s.Notice() != "" || !s.Complete() {
		t.Errorf("offline and Landlock: %q", s.Notice())
	}
}

// The same as an ordinary user, where these tests are root's.
func TestOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		return // they are
	}
	newRig(t, &Host{}, Spec{})
	dir, err := os.MkdirTemp("/tmp", "sandbox-user-") // where every user may go
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	bin, err := os.ReadFile(self(t))
	copied := filepath.Join(dir, "sandbox.test")
	if err := errors.Join(err, os.WriteFile(copied, bin, 0o755), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, "-test.run=^Test", "-test.skip=^(TestOrdinaryUser|TestNested|TestFewImports)$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestDeclaredView") || !strings.Contains(string(out), "--- PASS: TestNetworkIsOffAndNamed") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDeletedDirectory(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	if err := os.Mkdir(gone, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Chdir(gone)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, &Host{}, Spec{})
	if out, err := r.run("sh", "-c", "echo fine"); err != nil || out != "fine\n" {
		t.Errorf("%v, %q", err, out)
	}
}

// BenchmarkTrue runs /bin/true: alone, as the first process of a sandbox, and
// as a further one. One iteration of "first" is all that a step pays.
func BenchmarkTrue(b *testing.B) {
	h := &Host{}
	if s := h.Support(context.Background()); s.Method != Namespaces {
		b.Skip(s.Reason)
	}
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	work := b.TempDir()
	for name, spec := range map[string]Spec{"first/network": {}, "first/declared": {View: Declared, Dir: b.TempDir(), Write: []string{work}}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				sb, err := h.Open(context.Background(), spec, nil)
				if err == nil {
					err = errors.Join(sb.Run(context.Background(), &Cmd{Path: "/bin/true", Args: []string{"true"}, Dir: "/"}), sb.Close())
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("further", func(b *testing.B) {
		sb, err := h.Open(context.Background(), Spec{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer sb.Close()
		for b.Loop() {
			if err := sb.Run(context.Background(), &Cmd{Path: "/bin/true", Args: []string{"true"}, Dir: "/"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
