package sched

import (
	"slices"
	"testing"
)

type id int

// scheduler makes a scheduler of all the given tasks.
func scheduler(limits Limits, tasks ...Task[id]) *Scheduler[id] {
	ids := make([]id, len(tasks))
	for i := range ids {
		ids[i] = id(i)
	}
	return New(ids, func(i id) Task[id] { return tasks[i] }, limits)
}

// missAll looks up all that is queued, and finds nothing.
func missAll(s *Scheduler[id]) {
	for b := s.NextBatch(); b != nil; b = s.NextBatch() {
		s.LookedUp(b, nil)
		for _, i := range b.Tasks {
			s.Enqueue(i)
		}
	}
}

// start starts what may start now.
func start(s *Scheduler[id]) (started []id) {
	for i, _, ok := s.Start(); ok; i, _, ok = s.Start() {
		started = append(started, i)
	}
	return started
}

func want(t *testing.T, what string, got []id, want ...id) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Of what is ready the task at the beginning of the longest path comes first,
// not the one that takes longest itself.
func TestLongestPathFirst(t *testing.T) {
	s := scheduler(Limits{Jobs: 1, CPUs: 1},
		Task[id]{Expected: 5}, Task[id]{Expected: 1}, Task[id]{Expected: 5}, Task[id]{Expected: 9, Needs: []id{1}})
	missAll(s)
	var order []id
	for range 4 {
		got := start(s)
		order = append(order, got...)
		for _, i := range got {
			s.Finished(i)
			s.Release(i)
		}
		missAll(s)
	}
	want(t, "order", order, 1, 3, 0, 2)
	if !s.Idle() {
		t.Error("not idle at the end")
	}
}

// A task is queued when the last of those that it needs was released.
func TestRelease(t *testing.T) {
	s := scheduler(Limits{Jobs: 1, CPUs: 4}, Task[id]{}, Task[id]{}, Task[id]{Needs: []id{0, 1}})
	missAll(s)
	s.Release(0)
	if b := s.NextBatch(); b != nil {
		t.Errorf("%v can be looked up while one that it needs has not ended", b.Tasks)
	}
	s.Release(1)
	if b := s.NextBatch(); b == nil || !slices.Equal(b.Tasks, []id{2}) {
		t.Errorf("batch %v", b)
	}
	want(t, "dependents", s.Dependents(1), 2)
}

func TestBatches(t *testing.T) {
	quick := slices.Repeat([]Task[id]{{Quick: true}}, 1000)
	t.Run("some are left for others", func(t *testing.T) {
		s := scheduler(Limits{Jobs: 1, CPUs: 2}, quick[:40]...)
		var sizes []int
		for b := s.NextBatch(); b != nil; b = s.NextBatch() {
			sizes = append(sizes, len(b.Tasks))
		}
		if !slices.Equal(sizes, []int{6, 5, 4, 4}) { // then twice as many workers as processors are busy
			t.Errorf("sizes %v", sizes)
		}
	})
	t.Run("never too many", func(t *testing.T) {
		s := scheduler(Limits{Jobs: 1, CPUs: 1}, quick...)
		if b := s.NextBatch(); len(b.Tasks) != maxBatch {
			t.Errorf("%d tasks", len(b.Tasks))
		}
	})
	t.Run("one that is not quick ends a batch", func(t *testing.T) {
		tasks := slices.Clone(quick[:40])
		tasks[1].Quick = false
		s := scheduler(Limits{Jobs: 1, CPUs: 1}, tasks...)
		want(t, "batch", s.NextBatch().Tasks, 0, 1)
	})
	t.Run("the rest is queued again", func(t *testing.T) {
		s := scheduler(Limits{Jobs: 1, CPUs: 1}, quick[:8]...)
		b := s.NextBatch()
		want(t, "batch", b.Tasks, 0, 1, 2)
		s.LookedUp(b, b.Tasks[1:])
		want(t, "next batch", s.NextBatch().Tasks, 1, 2)
	})
}

func TestJobSlots(t *testing.T) {
	s := scheduler(Limits{Jobs: 4, CPUs: 8}, Task[id]{CPU: 3}, Task[id]{CPU: 2}, Task[id]{}, Task[id]{CPU: 9})
	missAll(s)
	// 1 does not fit beside 0; 2 must not overtake it for ever.
	want(t, "first", start(s), 0)
	s.Finished(0)
	want(t, "then", start(s), 1, 2)
	s.Finished(1)
	want(t, "while one runs", start(s))
	s.Finished(2)
	want(t, "last, with all slots", start(s), 3)
}

func TestMemory(t *testing.T) {
	large, free := Task[id]{Memory: 600, Expected: 2}, Task[id]{Expected: 1}
	for name, c := range map[string]struct {
		limit int64
		tasks []Task[id]
		want  []id
	}{
		"what fits":                     {1000, []Task[id]{large, {Memory: 400}}, []id{0, 1}},
		"what does not fit waits":       {1000, []Task[id]{large, large}, []id{0}},
		"others go first":               {1000, []Task[id]{large, large, free}, []id{0, 2}},
		"smaller ones do not":           {1000, []Task[id]{large, large, {Memory: 100}}, []id{0}},
		"more than there is runs alone": {500, []Task[id]{large, free}, []id{0}},
		"no limit":                      {0, []Task[id]{large, large}, []id{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := scheduler(Limits{Jobs: 4, Memory: c.limit, CPUs: 4}, c.tasks...)
			missAll(s)
			want(t, "started", start(s), c.want...)
			for _, i := range c.want {
				s.Finished(i)
			}
			if rest := start(s); len(c.want) < len(c.tasks) && len(rest) == 0 {
				t.Error("the rest did not start when the memory was free")
			}
		})
	}
}

// Two of a group run at the same time only if there is nothing else to do.
func TestGroups(t *testing.T) {
	s := scheduler(Limits{Jobs: 2, CPUs: 2}, Task[id]{Group: "linux"}, Task[id]{Group: "linux"}, Task[id]{Group: "darwin"}, Task[id]{Group: "linux"})
	missAll(s)
	want(t, "first", start(s), 0, 2)
	s.Finished(2)
	want(t, "when nothing else is left", start(s), 1)

	s = scheduler(Limits{Jobs: 2, CPUs: 2}, Task[id]{Group: "linux"}, Task[id]{Group: "linux"}, Task[id]{})
	for range 2 {
		b := s.NextBatch()
		s.LookedUp(b, nil)
		s.Enqueue(b.Tasks[0])
	}
	b := s.NextBatch()
	want(t, "while another is looked up", start(s), 0)
	s.LookedUp(b, nil)
	want(t, "when that was found", start(s), 1)
}

// A free slot is kept for a task that is being looked up and takes much longer.
func TestOutweighed(t *testing.T) {
	s := scheduler(Limits{Jobs: 1, CPUs: 1}, Task[id]{Expected: 100}, Task[id]{Expected: 10})
	long, short := s.NextBatch(), s.NextBatch()
	s.LookedUp(short, nil)
	s.Enqueue(1)
	want(t, "while the long one is looked up", start(s))
	s.LookedUp(long, nil)
	want(t, "when that was found", start(s), 1)
}

// The processors are divided among what runs and what is about to.
func TestCPUs(t *testing.T) {
	for _, c := range []struct{ tasks, jobs, want int }{{1, 8, 8}, {2, 8, 4}, {9, 8, 1}, {9, 2, 4}} {
		s := scheduler(Limits{Jobs: c.jobs, CPUs: 8}, make([]Task[id], c.tasks)...)
		missAll(s)
		if _, cpus, ok := s.Start(); !ok || cpus != c.want {
			t.Errorf("%d tasks, %d jobs: %d processors, want %d", c.tasks, c.jobs, cpus, c.want)
		}
	}
}

// Tasks that nobody asked for are not there.
func TestSubset(t *testing.T) {
	s := New([]id{2, 5}, func(i id) Task[id] {
		if i == 5 {
			return Task[id]{Needs: []id{2}}
		}
		return Task[id]{}
	}, Limits{Jobs: 1})
	missAll(s)
	want(t, "started", start(s), 2)
	if empty := New(nil, func(id) Task[id] { return Task[id]{} }, Limits{}); !empty.Idle() || empty.NextBatch() != nil {
		t.Error("there is something to do without tasks")
	}
}

// BenchmarkHits10000 looks up ten thousand tasks, all of which have results.
func BenchmarkHits10000(b *testing.B) {
	ids := make([]id, 10_000)
	for i := range ids {
		ids[i] = id(i)
	}
	task := func(i id) Task[id] { return Task[id]{Expected: int64(i) % 7, Quick: true} }
	b.ReportAllocs()
	for b.Loop() {
		s := New(ids, task, Limits{Jobs: 8, CPUs: 8})
		for batch := s.NextBatch(); batch != nil; batch = s.NextBatch() {
			s.LookedUp(batch, nil)
			for _, i := range batch.Tasks {
				s.Release(i)
			}
		}
	}
}
