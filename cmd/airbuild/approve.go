package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/deploy"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/approval"
)

// approveFlags are the flags of approve.
type approveFlags struct {
	sign, comment, expires, as string
	dryRun                     bool
}

func approveCommand(a *app) *cobra.Command {
	f := &approveFlags{}
	c := &cobra.Command{
		Use:   "approve STAGE",
		Short: "Sign an approval for a pending approval stage",
		Long: "Build the files that await approval at stage STAGE, show their digests, and write an\n" +
			"approval of exactly these bytes, for the chosen environment, signed with your key. No\n" +
			"network is needed. The file must then be present where the release is made.",
		Example:           "  airbuild approve gate --environment prod --dry-run\n  airbuild approve gate --environment prod --sign alice --comment 'change 4711'",
		Args:              exactArgs(1, "the name of an approval stage"),
		ValidArgsFunction: a.completeStages(approval.Type),
		RunE:              func(c *cobra.Command, args []string) error { return runApprove(c.Context(), a, args[0], f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.sign, "sign", "", "sign with this `KEY`: a name of the keyring, or a file with a slash in its path")
	fl.StringVar(&f.comment, "comment", "", "say with `TEXT` why")
	fl.StringVar(&f.expires, "expires", "", "count no longer after `TIME`: a duration (72h), a date (2030-01-31, its end in UTC) or a time (RFC 3339)")
	fl.StringVar(&f.as, "as", "", "your `NAME`, for records (default: the user and the host)")
	fl.BoolVar(&f.dryRun, "dry-run", false, "show what would be approved and the approvals so far; sign nothing")
	declareSandbox(&a.Sandbox, fl)
	return c
}

func runApprove(ctx context.Context, a *app, name string, f *approveFlags) (err error) {
	if f.sign == "" && !f.dryRun {
		return exit.UsageError("approve requires a key: --sign KEY. To look first: --dry-run")
	}
	now := time.Now()
	expires, err := parseExpiry(f.expires, now)
	if err != nil {
		return err
	}
	sink, js := a.sink()
	defer func() { err = endOutput(sink, err) }()
	p, err := a.load(ctx, js)
	if err != nil {
		return err
	}
	step, err := oneStepOf(p, approval.Type, name)
	if err != nil {
		return err
	}
	gate, approvers, err := approval.GateOf(step)
	if err != nil {
		return err
	}
	s, err := p.Open(nil)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	id, _ := p.Plan.Graph.Lookup(step.Name)
	if needs := p.Plan.Graph.Needs(id); len(needs) > 0 {
		if err := runSession(ctx, a, s, needs, "", &runFlags{}, sink); err != nil {
			return err
		}
	}
	subjects, err := gate.Subjects(ctx, tasks.ProjectFiles(p.Root))
	if err != nil {
		return err
	}
	for _, sub := range subjects {
		fmt.Fprintf(a.out, "%s  %s\n", sub.Digest["sha256"], human.OneLine(sub.Name))
	}
	if f.dryRun {
		return showApprovals(a, p.Root, &gate, approvers, subjects, now)
	}
	key, err := approvingKey(ctx, a, f.sign)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(approvers, func(o approval.Approver) bool { return o.Key.SameKey(key.Public()) })
	if i >= 0 && approvers[i].Limit != nil {
		return exit.With(exit.Unverified, fmt.Errorf("--sign %s: its approval would not count: %w", f.sign, approvers[i].Limit))
	}
	if i < 0 {
		return exit.UsageError("--sign %s: key %s is none of the approvers of %s, so that its approval would not count", f.sign, key.Public().ID(), step.Name)
	}
	if f.as == "" {
		f.as = deploy.Whoami()
	}
	envelope, err := gate.Sign(subjects, approval.Approval{Approver: f.as, Comment: f.comment, Expires: expires, Time: now}, key)
	if err != nil {
		return err
	}
	return keepApproval(a, p.Root, &gate, key.Public(), envelope)
}

// keepApproval writes an approval in whole or not at all.
func keepApproval(a *app, root string, gate *approval.Gate, key sign.PublicKey, envelope []byte) error {
	file, content, err := gate.Keep(key, envelope, func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	})
	if err != nil {
		return fmt.Errorf("write approval: %w", err)
	}
	target := filepath.Join(root, filepath.FromSlash(file))
	if err := atomicfile.Write(target, content, atomicfile.Options{Mkdir: 0o777}); err != nil {
		return fmt.Errorf("write approval: %w", err)
	}
	_, err = fmt.Fprintf(a.out, "approved by key %s: %s\n", key.ID(), file)
	return err
}

// showApprovals shows who has approved, and why an approval does not count.
func showApprovals(a *app, root string, gate *approval.Gate, approvers []approval.Approver, subjects []sign.Subject, now time.Time) error {
	submissions, err := gate.Submissions(tasks.ProjectFiles(root), approvers, subjects, now)
	if err != nil {
		return fmt.Errorf("read approvals: %w", err)
	}
	for _, v := range submissions {
		text := "does not count: "
		if v.Err != nil {
			text += v.Err.Error()
		} else {
			text = fmt.Sprintf("approved by %s at %s", v.Approver, v.Approval.Time.UTC().Format(time.RFC3339))
		}
		fmt.Fprintf(a.out, "%s: %s\n", v.Place, human.OneLine(text))
	}
	_, err = fmt.Fprintf(a.out, "%d of %d approvals\n", len(approval.Counted(submissions)), gate.Threshold)
	return err
}

// approvingKey is a secret key of the keyring or of a file.
func approvingKey(ctx context.Context, a *app, name string) (*sign.SecretKey, error) {
	if strings.ContainsAny(name, `/\`) {
		k, err := sign.ReadSecretKey(name, a.keyPassword(ctx, filepath.Base(name)))
		if err != nil {
			return nil, fmt.Errorf("--sign: %w", err)
		}
		return k, nil
	}
	ring, err := a.keyring()
	if err != nil {
		return nil, err
	}
	k, err := ring.Secret(name, a.keyPassword(ctx, name))
	if errors.Is(err, sign.ErrNoKey) {
		return nil, exit.UsageError("--sign: %w.\nTo make it: airbuild key new %s", err, name)
	}
	return k, err
}

// parseExpiry reads --expires; nil for none.
func parseExpiry(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	var at time.Time
	if d, err := time.ParseDuration(text); err == nil {
		at = now.Add(d)
	} else if day, err := time.Parse(time.DateOnly, text); err == nil {
		at = day.AddDate(0, 0, 1)
	} else if at, err = time.Parse(time.RFC3339, text); err != nil {
		return nil, exit.UsageError("--expires %q: want a duration such as 72h, a date such as 2030-01-31, or a time such as 2030-01-31T12:00:00Z", text)
	}
	if !at.After(now) {
		return nil, exit.UsageError("--expires %s: that is past", text)
	}
	return &at, nil
}
