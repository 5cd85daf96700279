package want

import "testing"

func TestConstraint(t *testing.T) {
	for _, test := range []struct {
		constraint, found string
		allowed           bool
	}{
		{">= 2.28", "2.36", true}, {">= 2.28", "2.9", false}, {">= 4.18, < 6", "5.15.0-91-generic", true}, {">= 4.18, < 6", "6.1.0-18-amd64", false},
		{"2.28", "2.28", true}, {"2.28", "2.29", false}, {"~> 1.25", "1.26.8", true}, {">= 1", "", false}, {">= 1.26", "v1.27rc1", true}, {">= 3", "3.0.17+dfsg", true},
	} {
		c, err := ParseConstraint(test.constraint)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Allows(test.found); got != test.allowed {
			t.Errorf("%s allows %q: %v", test.constraint, test.found, got)
		}
	}
	if !(Constraint{}).Allows("") {
		t.Error("nothing that is wanted is not met")
	}
	if _, err := ParseConstraint("new"); err == nil {
		t.Error("no constraint was taken")
	}
}

func TestParse(t *testing.T) {
	for _, good := range []string{"amd64", "amd64/v3", "arm64/v8.2", "riscv64"} {
		if a, err := ParseArch(good); err != nil || a.String() != good {
			t.Errorf("%s: %v, %v", good, a, err)
		}
	}
	for _, bad := range []string{"", "a b", "amd64/v5", "amd64/3", "amd64/", "386/v1", "arm64/vx"} {
		if a, err := ParseArch(bad); err == nil {
			t.Errorf("%q: %v", bad, a)
		}
	}
	for _, good := range []string{"git", "gcc >= 10", "g++", "python3.11"} {
		if c, err := ParseCommand(good); err != nil || c.String() != good {
			t.Errorf("%s: %v, %v", good, c, err)
		}
	}
	for _, bad := range []string{"", "/bin/sh", "go>=1", "git newest"} {
		if c, err := ParseCommand(bad); err == nil {
			t.Errorf("%q: %v", bad, c)
		}
	}
	if v, err := ParseVariable("A=b=c"); err != nil || v != (Variable{"A", "b=c", true}) {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err := ParseVariable("A="); err != nil || !v.Exact {
		t.Errorf("%+v, %v", v, err)
	}
	for _, bad := range []string{"", "=x", "A B", "$A"} {
		if v, err := ParseVariable(bad); err == nil {
			t.Errorf("%q: %+v", bad, v)
		}
	}
	if !(&Host{}).Empty() || (&Host{Memory: 1}).Empty() {
		t.Error("Empty")
	}
}
