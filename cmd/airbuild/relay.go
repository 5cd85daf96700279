package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/relay"
)

// defaultListen is this host only: to be heard by others must be said.
const defaultListen = "127.0.0.1:8099"

// relayFlags are the flags of `airbuild relay`.
type relayFlags struct {
	listen                       string
	bundles, artifacts, goproxy  string
	noCache, writable            bool
	tokenFile, readTokenFile     string
	tlsCert, tlsKey              string
	tlsSelfSigned                bool
	maxConnections               int
	maxUpload                    string
	drain                        time.Duration
	accessLog                    string
	metrics                      bool
	bundlesDir, artDir, proxyDir string // absolute; "" is not served
	cacheDir                     string
}

func relayCommand(a *app) *cobra.Command {
	f := &relayFlags{}
	c := &cobra.Command{
		Use:   "relay",
		Short: "Serve bundles, modules, artifacts and the cache on an internal network",
		Long: "Serve bundles, a GOPROXY with its checksum database, artifacts and the cache on an\n" +
			"internal network, for reading. Exits with code 0 on SIGINT or SIGTERM, when requests\n" +
			"in progress have ended.",
		Example: "  airbuild relay --bundles /media/usb\n" +
			"  airbuild relay --listen 0.0.0.0:8099 --bundles /srv/bundles --tls-cert relay.pem --tls-key relay.key",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runRelay(c.Context(), a, f) },
	}
	f.declare(c)
	return c
}

func (f *relayFlags) declare(c *cobra.Command) {
	s := c.Flags()
	s.SortFlags = false
	s.StringVar(&f.listen, "listen", defaultListen, "listen on `HOST:PORT`; 0.0.0.0 for all of this host's IPv4 addresses")
	s.StringVar(&f.bundles, "bundles", "", "serve the bundles in `DIR`, or the one that DIR is")
	s.StringVar(&f.artifacts, "artifacts", "", "serve the files below `DIR`, such as dist")
	s.StringVar(&f.goproxy, "goproxy", "", "serve the GOPROXY tree `DIR` (default: the carried one; off: none)")
	s.BoolVar(&f.noCache, "no-cache", false, "do not serve the cache")
	s.BoolVar(&f.writable, "writable", false, "allow cache uploads by clients that present a token from --token-file")
	s.StringVar(&f.tokenFile, "token-file", "", "tokens for writing, one per line in `FILE`")
	s.StringVar(&f.readTokenFile, "read-token-file", "", "serve only clients with a token, one per line in `FILE`")
	s.StringVar(&f.tlsCert, "tls-cert", "", "serve HTTPS with the certificates in `FILE` (PEM)")
	s.StringVar(&f.tlsKey, "tls-key", "", "the key of --tls-cert, in `FILE` (PEM)")
	s.BoolVar(&f.tlsSelfSigned, "tls-self-signed", false, "serve HTTPS with a certificate made now; its fingerprint is shown")
	s.IntVar(&f.maxConnections, "max-connections", relay.DefaultMaxConnections, "allow at most `N` connections; more wait")
	s.StringVar(&f.maxUpload, "max-upload", "4GiB", "accept blobs of at most `SIZE`")
	s.DurationVar(&f.drain, "drain", relay.DefaultDrain, "on shutdown, wait at most `DURATION` for requests in progress")
	s.StringVar(&f.accessLog, "access-log", "", "add a line for each request to `FILE`; - is stderr")
	s.BoolVar(&f.metrics, "metrics", false, "serve metrics at /metrics, as Prometheus text")
}

func runRelay(ctx context.Context, a *app, f *relayFlags) (err error) {
	if err := relayPlaces(a, f); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.err, nil))
	o, err := relayOptions(a, f, log)
	if err != nil {
		return err
	}
	serve := relay.ServeOptions{MaxConnections: f.maxConnections, Drain: f.drain, Log: log}
	if serve.TLS, o.Certificate, err = f.certificate(); err != nil {
		return err
	}
	if err := f.checkExposure(a, o, serve.TLS != nil); err != nil {
		return err
	}
	closeLog, err := openAccessLog(a, f, &o)
	if err != nil {
		return err
	}
	defer closeLog()
	h, err := relay.New(o)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, h.Close()) }()
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return fmt.Errorf("listen: %w; --listen takes another address", err)
	}
	if err := h.Prepare(ctx); err != nil {
		ln.Close()
		return fmt.Errorf("look at bundles: %w", err)
	}
	if err := announceRelay(ctx, a, f, h, ln.Addr(), serve.TLS); err != nil {
		ln.Close()
		return err
	}
	if err := relay.Serve(ctx, ln, h, serve); err != nil {
		return err
	}
	if !a.json() {
		fmt.Fprintln(a.err, "relay ended")
	}
	return nil
}

// relayPlaces finds the directories that are served. Those that were named must
// be there; the carried ones may come later.
func relayPlaces(a *app, f *relayFlags) error {
	cache, err := a.CacheDir()
	if err != nil {
		return err
	}
	if !f.noCache {
		f.cacheDir = cache
	}
	for _, p := range []struct {
		flag, value, otherwise string
		dir                    *string
	}{
		{"--bundles", f.bundles, "", &f.bundlesDir},
		{"--artifacts", f.artifacts, "", &f.artDir},
		{"--goproxy", f.goproxy, filepath.Join(cache, "carried", "goproxy"), &f.proxyDir},
	} {
		if p.value == "" {
			*p.dir = p.otherwise
			continue
		}
		if p.flag == "--goproxy" && p.value == "off" {
			continue
		}
		abs, err := filepath.Abs(p.value)
		if err != nil {
			return fmt.Errorf("%s: %w", p.flag, err)
		}
		if info, err := os.Stat(abs); err != nil {
			return exit.UsageError("%s: %w", p.flag, err)
		} else if !info.IsDir() {
			return exit.UsageError("%s: %s is not a directory", p.flag, p.value)
		}
		*p.dir = abs
	}
	return nil
}

func relayOptions(a *app, f *relayFlags, log *slog.Logger) (o relay.Options, err error) {
	o = relay.Options{
		Bundles: f.bundlesDir, Artifacts: f.artDir, GoProxy: f.proxyDir, Store: f.cacheDir,
		Writable: f.writable, Metrics: f.metrics, Log: log,
	}
	if o.MaxUpload, err = parseSize(f.maxUpload); err != nil || o.MaxUpload == 0 {
		return o, exit.UsageError("--max-upload %q: want a size such as 4GiB or 500MB", f.maxUpload)
	}
	if f.maxConnections < 1 {
		return o, exit.UsageError("--max-connections %d: want a number from 1", f.maxConnections)
	}
	if f.drain <= 0 {
		return o, exit.UsageError("--drain %v: want a duration such as 30s", f.drain)
	}
	switch {
	case f.writable && f.noCache:
		return o, exit.UsageError("--writable is about the cache, and --no-cache leaves it out")
	case f.writable && f.tokenFile == "":
		return o, exit.UsageError("--writable requires --token-file: uploads need a token.\nTo make one: openssl rand -hex 32 > relay.token && chmod 600 relay.token")
	case !f.writable && f.tokenFile != "":
		return o, exit.UsageError("--token-file is for uploads, which require --writable.\nTo require tokens for reading: --read-token-file")
	}
	if o.WriteTokens, err = readTokens(a, "--token-file", f.tokenFile); err != nil {
		return o, err
	}
	o.ReadTokens, err = readTokens(a, "--read-token-file", f.readTokenFile)
	return o, err
}

func readTokens(a *app, flag, name string) (relay.Tokens, error) {
	if name == "" {
		return relay.Tokens{}, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return relay.Tokens{}, exit.UsageError("%s: %w", flag, err)
	}
	t, err := relay.ParseTokens(string(text))
	if err != nil {
		return relay.Tokens{}, exit.UsageError("%s: %s: %w", flag, name, err)
	}
	if info, err := os.Stat(name); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(a.err, "warning: other users may read %s (mode %04o); to fix: chmod 600 %s\n", name, info.Mode().Perm(), name)
	}
	return t, nil
}

// certificate is the TLS configuration, nil for plain HTTP, and the certificate
// in PEM if it was made here.
func (f *relayFlags) certificate() (*tls.Config, []byte, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case f.tlsSelfSigned && (f.tlsCert != "" || f.tlsKey != ""):
		return nil, nil, exit.UsageError("--tls-self-signed makes a certificate, and --tls-cert names one: give one of them")
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return nil, nil, exit.UsageError("--tls-cert and --tls-key belong together")
	case f.tlsSelfSigned:
		c, text, err := relay.SelfSigned(relay.CertificateHosts(f.listen), time.Now())
		if err != nil {
			return nil, nil, err
		}
		conf.Certificates = []tls.Certificate{c}
		return conf, text, nil
	case f.tlsCert != "":
		c, err := tls.LoadX509KeyPair(f.tlsCert, f.tlsKey)
		if err != nil {
			return nil, nil, exit.UsageError("--tls-cert: %w", err)
		}
		conf.Certificates = []tls.Certificate{c}
		return conf, nil, nil
	}
	return nil, nil, nil
}

// checkExposure wants addresses that others reach to be said, and no token for
// writing to go over a network in the clear.
func (f *relayFlags) checkExposure(a *app, o relay.Options, encrypted bool) error {
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return exit.UsageError("--listen %q: want HOST:PORT, such as %s", f.listen, defaultListen)
	}
	if host == "" {
		return exit.UsageError("--listen %q: say which address; 0.0.0.0%s is all of this host's IPv4 addresses", f.listen, f.listen)
	}
	ip := net.ParseIP(host)
	if encrypted || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	if o.Writable {
		return exit.UsageError("--writable on %s needs HTTPS, or the token can be read on the network: give --tls-cert and --tls-key, or --tls-self-signed.\nBehind a proxy that does it, listen on 127.0.0.1", f.listen)
	}
	if !o.ReadTokens.Empty() {
		fmt.Fprintln(a.err, "warning: without HTTPS the tokens of --read-token-file can be read on the network")
	}
	return nil
}

// openAccessLog has requests written down, where that is wanted.
func openAccessLog(a *app, f *relayFlags, o *relay.Options) (closeLog func(), err error) {
	var w io.Writer = a.err
	closeLog = func() {}
	switch f.accessLog {
	case "":
		return closeLog, nil
	case "-":
	default:
		file, err := os.OpenFile(f.accessLog, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
		if err != nil {
			return nil, exit.UsageError("--access-log: %w", err)
		}
		w, closeLog = file, func() { file.Close() }
	}
	o.Access = relay.AccessLog(w)
	return closeLog, nil
}

// announceRelay says where the relay is, and what others do to use it.
func announceRelay(ctx context.Context, a *app, f *relayFlags, h *relay.Handler, addr net.Addr, conf *tls.Config) error {
	bundles, err := h.Bundles(ctx)
	if err != nil {
		return err
	}
	base, fingerprint := relay.URL(addr, conf != nil), ""
	if f.tlsSelfSigned {
		fingerprint = relay.Fingerprint(conf.Certificates[0].Certificate[0])
	}
	if a.json() {
		m := map[string]any{"event": "listening", "url": base, "writable": f.writable, "bundles": bundles}
		for name, dir := range map[string]string{"bundles_dir": f.bundlesDir, "artifacts_dir": f.artDir, "goproxy_dir": f.proxyDir, "cache_dir": f.cacheDir, "fingerprint": fingerprint} {
			if dir != "" {
				m[name] = dir
			}
		}
		return a.writeJSON(m)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "relay on %s\n", base)
	if fingerprint != "" {
		fmt.Fprintf(&b, "certificate made now: %s/relay.pem\nSHA-256 fingerprint: %s\n", base, fingerprint)
	}
	for _, s := range bundles {
		fmt.Fprintf(&b, "bundle %s, %s: airbuild bundle import %s/bundles/%s/\n", s.Name, human.Bytes(s.Size), base, s.Name)
	}
	if f.bundlesDir != "" && len(bundles) == 0 {
		fmt.Fprintf(&b, "bundles: none in %s yet\n", f.bundlesDir)
	}
	if f.proxyDir != "" {
		fmt.Fprintf(&b, "modules%s: export GOPROXY=%s/goproxy\n", emptyNote(f.proxyDir), base)
	}
	if f.artDir != "" {
		fmt.Fprintf(&b, "artifacts: %s/artifacts/\n", base)
	}
	if f.cacheDir != "" {
		mode := "read only"
		if f.writable {
			mode = "writable with a token"
		}
		fmt.Fprintf(&b, "cache, %s: bazel build --remote_cache=%s\n", mode, base)
	}
	_, err = io.WriteString(a.out, b.String())
	return err
}

// emptyNote says that a directory is not there yet.
func emptyNote(dir string) string {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return " (none imported yet)"
	}
	return ""
}
