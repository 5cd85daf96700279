package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Host opens sandboxes. The zero value is ready; what this host can do is
// found out once, at the first use. The program must call Main first of all.
type Host struct {
	// Limit, unless it is None, is the best Method to use: for tests, and for
	// a host on which a better one does not do what it should.
	Limit Method

	mu      sync.Mutex
	probed  bool
	start   start
	support Support
}

// Support says what this host can do. It starts processes the first time.
func (h *Host) Support(ctx context.Context) Support {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.probed {
		s, m, err := h.probe(ctx)
		if err != nil { // the run was stopped: nothing is known
			return s
		}
		h.support, h.start, h.probed = s, m, true
	}
	return h.support
}

// probe tries the methods, the best one first.
func (h *Host) probe(ctx context.Context) (Support, start, error) {
	s := Support{Offline: offline()}
	try := func(m start) error {
		b, ready, err := open(ctx, m, &setup{Method: m.method, UID: os.Getuid()}, nil)
		if err != nil {
			return err
		}
		s.Method, s.Named = m.method, ready.Named
		return b.Close()
	}
	var why error
	for _, m := range starts(h.Limit) {
		err := try(m)
		if err == nil {
			if m.method != Namespaces {
				s.Landlock = hasLandlock()
				s.Reason = refusedBecause(why)
			}
			return s, m, nil
		}
		if ctx.Err() != nil {
			return s, m, ctx.Err()
		}
		if m.method == Namespaces && why == nil {
			why = err
		}
	}
	s.Reason = refusedBecause(why)
	return s, start{}, nil
}

// Open makes a sandbox. report gets every attempt to reach the network, from
// any goroutine; it may be nil. Close must be called. With Method None there
// is no sandbox, and the error is ErrUnsupported.
func (h *Host) Open(ctx context.Context, s Spec, report func(Attempt)) (*Sandbox, error) {
	if sb := h.openFirst(ctx, s, report); sb != nil {
		return sb, nil
	}
	if h.Support(ctx).Method == None {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, ErrUnsupported
	}
	m := h.start
	m.network = s.Network
	m.declared = s.View == Declared
	sb, _, err := open(ctx, m, newSetup(m.method, s), report)
	if err != nil {
		return nil, fmt.Errorf("make sandbox: %w", err)
	}
	return sb, nil
}

// openFirst opens the first sandbox without asking what the host can do: where
// it can do all, which is the rule, the answer costs as much as the sandbox. Nil
// if that is known already, or if it did not work: then Support finds out why.
func (h *Host) openFirst(ctx context.Context, s Spec, report func(Attempt)) *Sandbox {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.probed || h.Limit != None {
		return nil
	}
	m := starts(h.Limit)[0]
	m.network, m.declared = s.Network, s.View == Declared
	sb, ready, err := open(ctx, m, newSetup(m.method, s), report)
	if err != nil {
		return nil
	}
	if s.Network {
		return sb // it cannot say whether attempts would be named
	}
	h.support = Support{Method: m.method, Named: ready.Named, Offline: offline()}
	h.start, h.probed = m, true
	return sb
}

// A start is a way to start an init process.
type start struct {
	method            Method
	user              bool // with a user namespace
	network, declared bool
}

// starts are the ways to try on this host, the best one first.
func starts(limit Method) []start {
	all := []start{{method: Namespaces, user: true}}
	if os.Geteuid() == 0 {
		all = append(all, start{method: Namespaces})
	}
	all = append(all, start{method: Filter})
	if limit == Filter {
		return all[len(all)-1:]
	}
	return all
}

func (m start) attr() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if m.method != Namespaces {
		return a
	}
	a.Cloneflags = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC
	if !m.network {
		a.Cloneflags |= unix.CLONE_NEWNET
	}
	if m.declared {
		a.Cloneflags |= unix.CLONE_NEWUTS
	}
	if !m.user {
		return a
	}
	a.Cloneflags |= unix.CLONE_NEWUSER
	a.UidMappings, a.GidMappings, a.GidMappingsEnableSetgroups = idMaps()
	if os.Getuid() != 0 {
		for c := range uintptr(unix.CAP_LAST_CAP + 1) {
			if c < 38 { // known to every kernel that has what else is needed
				a.AmbientCaps = append(a.AmbientCaps, c)
			}
		}
	}
	return a
}

// idMaps keeps every user and group that this process may use: all of them if
// it is root's, itself otherwise.
func idMaps() (uids, gids []syscall.SysProcIDMap, groups bool) {
	if os.Geteuid() == 0 && hasCapability(unix.CAP_SETUID) && hasCapability(unix.CAP_SETGID) {
		u, uerr := ownMap("/proc/self/uid_map")
		g, gerr := ownMap("/proc/self/gid_map")
		if uerr == nil && gerr == nil {
			return u, g, true
		}
	}
	one := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: id, HostID: id, Size: 1}}
	}
	return one(os.Geteuid()), one(os.Getegid()), false
}

// ownMap maps every id of this process's own namespace to itself.
func ownMap(name string) ([]syscall.SysProcIDMap, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var out []syscall.SysProcIDMap
	for line := range strings.Lines(string(b)) {
		var inside, outside, size int
		if _, err := fmt.Sscan(line, &inside, &outside, &size); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out = append(out, syscall.SysProcIDMap{ContainerID: inside, HostID: inside, Size: size})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("read %s: it is empty", name)
	}
	return out, nil
}

func hasCapability(c int) bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return false
	}
	return data[c/32].Effective&(1<<(c%32)) != 0
}

// refusedBecause says why there are no namespaces, and what would give them.
func refusedBecause(err error) string {
	if err == nil {
		return "namespaces were not asked for"
	}
	read := func(name string) string {
		b, _ := os.ReadFile("/proc/sys/" + name)
		return strings.TrimSpace(string(b))
	}
	switch {
	case read("user/max_user_namespaces") == "0":
		return "user namespaces are switched off (sysctl user.max_user_namespaces = 0; set it to 10000)"
	case read("kernel/unprivileged_userns_clone") == "0":
		return "user namespaces are for root only (sysctl kernel.unprivileged_userns_clone = 0; set it to 1)"
	case read("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor restricts user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns = 1; set it to 0, or give airbuild a profile with \"userns,\")"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Sprintf("the kernel, or the container's seccomp profile, refuses namespaces (%v)", err)
	case errors.Is(err, unix.ENOSPC):
		return "there are as many namespaces as the kernel allows (sysctl user.max_user_namespaces)"
	}
	return fmt.Sprintf("namespaces cannot be made (%v)", err)
}
