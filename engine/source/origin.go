package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strconv"
)

// count answers for commit_count.
func (g *git) count(ctx context.Context) error {
	if err := g.complete(ctx, "commit_count"); err != nil {
		return err
	}
	out, err := g.run(ctx, "rev-list", "--count", "HEAD", "--")
	if err != nil {
		return err
	}
	g.info.CommitCount, err = strconv.Atoi(out)
	if err != nil || g.info.CommitCount < 1 {
		return fmt.Errorf("git rev-list gave %q", out)
	}
	return nil
}

// url answers for url: what the repository's configuration says of origin, without
// what the user's own makes of it.
func (g *git) url(ctx context.Context) error {
	out, err := g.run(ctx, "config", "--get", "remote.origin.url")
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		out, err = "", nil // there is no origin
	}
	g.info.URL = withoutCredentials(out)
	return err
}

// withoutCredentials removes user names, passwords and tokens from the address of a
// repository. A user name stays where it is part of the address, as git@ is for SSH.
func withoutCredentials(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return address // a path, or HOST:PATH
	}
	switch {
	case u.User == nil:
	case u.Scheme == "http" || u.Scheme == "https":
		u.User = nil
	default:
		u.User = url.User(u.User.Username())
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	return u.String()
}
