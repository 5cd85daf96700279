package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// A crowd notes who runs at the same time as whom.
type crowd struct {
	mu      sync.Mutex
	running map[string]bool
	met     map[[2]string]bool
	most    int64 // memory at once
}

// run makes each step of b stay a while, so that others come.
func (c *crowd) run(b *bench) {
	c.running, c.met = map[string]bool{}, map[[2]string]bool{}
	memory := map[string]int64{}
	for i := range b.graph.Steps {
		s := &b.graph.Steps[i]
		memory[s.Name] = s.Memory
		b.exec.do[s.Name] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
			c.mu.Lock()
			sum := memory[p.Step.Name]
			for other := range c.running {
				c.met[[2]string{p.Step.Name, other}], c.met[[2]string{other, p.Step.Name}] = true, true
				sum += memory[other]
			}
			c.most = max(c.most, sum)
			c.running[p.Step.Name] = true
			c.mu.Unlock()
			time.Sleep(5 * time.Millisecond)
			c.mu.Lock()
			delete(c.running, p.Step.Name)
			c.mu.Unlock()
			return b.exec.outputs(ctx, p, "x")
		}
	}
	b.run()
}

func (b *bench) heavy(name string, memory int64) {
	b.add(engine.Step{Name: name, Stage: name, Memory: memory, Command: action.Command{
		Arguments: []string{"make", name}, OutputPaths: []string{"dist/" + name}, OutputFiles: []string{"dist/" + name},
	}})
}

func TestMemoryIsSharedOut(t *testing.T) {
	b := newBench(t)
	b.opts.Jobs, b.opts.Memory = 4, 1000
	for i := range 3 {
		b.heavy(fmt.Sprint("large", i), 600)
		b.heavy(fmt.Sprint("small", i), 300)
		b.heavy(fmt.Sprint("free", i), 0)
	}
	b.heavy("huge", 5000)
	var c crowd
	c.run(b)
	if len(b.exec.ran) != 10 {
		t.Fatalf("ran %v", b.exec.ran)
	}
	for pair := range c.met {
		if pair[0] == "huge" {
			t.Errorf("huge ran beside %s", pair[1])
		}
		if pair[0][:5] == "large" && pair[1][:5] == "large" {
			t.Errorf("%s ran beside %s", pair[0], pair[1])
		}
	}
	if c.most > 1000 && c.most != 5000 {
		t.Errorf("%d bytes at once", c.most)
	}
}

// meet makes the step wait until the other has begun.
func (b *bench) meet(name, other string) {
	begun := map[string]chan struct{}{name: make(chan struct{}), other: make(chan struct{})}
	for _, n := range []string{name, other} {
		b.exec.do[n] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
			close(begun[n])
			if n == name {
				select {
				case <-begun[other]:
				case <-time.After(20 * time.Second):
					b.t.Errorf("%s did not run beside %s", other, name)
				}
			}
			return b.exec.outputs(ctx, p, "x")
		}
	}
}

// TestMemoryKeepsNobodyElseWaiting: a step that declares none goes first while
// one that declares some has to wait.
func TestMemoryKeepsNobodyElseWaiting(t *testing.T) {
	b := newBench(t)
	b.opts.Jobs, b.opts.Memory = 2, 1000
	b.heavy("a", 900)
	b.heavy("b", 900)
	b.heavy("c", 0)
	b.meet("a", "c")
	b.run()
}

// TestMemoryUnknown: a host whose memory is not known bounds nothing.
func TestMemoryUnknown(t *testing.T) {
	b := newBench(t)
	b.opts.Jobs = 2
	b.heavy("a", 1<<60)
	b.heavy("b", 1<<60)
	b.meet("a", "b")
	b.run()
}
