// Package sched decides which task of a graph comes next: which are looked up,
// and which of those that were not found run, within the limits of the machine.
//
// It starts nothing and knows nothing about results: its caller does, and
// reports what became of each task. A task waits for those that it needs, is
// queued for a look-up, and is looked up in a Batch. Then it ends (Release), or
// is queued to run (Enqueue), runs (Start, Finished) and ends.
package sched

import (
	"container/heap"
	"runtime"
	"slices"
)

// A Task is what the scheduler knows about a task.
type Task[ID ~int] struct {
	Needs    []ID   // the tasks that it waits for
	Expected int64  // how long it may take; only the ratios matter
	CPU      int    // job slots that it takes; zero means one
	Memory   int64  // bytes that it declares
	Group    string // tasks of a group share work, so they run apart if there is other work; empty for none
	Quick    bool   // it is looked up in next to no time
}

// Limits bound what is in flight at the same time.
type Limits struct {
	Jobs   int   // job slots; at least one
	Memory int64 // bytes that running tasks may declare together; zero: not limited
	CPUs   int   // processors; zero: as many as Go uses
}

// A Scheduler is the state of all tasks of one run. One goroutine owns it: its
// methods must not be called by several at the same time.
type Scheduler[ID ~int] struct {
	limits     Limits
	tasks      []Task[ID]
	waits      []int   // needed tasks that have not ended
	dependents [][]ID  // tasks that wait for this one
	weight     []int64 // length of the longest path from here to the end of the graph

	toLookUp queue[ID]
	toRun    queue[ID]
	batches  []*Batch[ID] // in flight
	inLookup int          // tasks in batches

	running int
	slots   int            // job slots in use
	memory  int64          // what running tasks declare
	groups  map[string]int // running tasks by group
}

// A Batch is tasks that one worker looks up.
type Batch[ID ~int] struct{ Tasks []ID }

// New makes a scheduler for the given tasks, sorted so that each comes after
// those that it needs. Those that need nothing can be looked up at once.
func New[ID ~int](ids []ID, task func(ID) Task[ID], limits Limits) *Scheduler[ID] {
	if limits.CPUs <= 0 {
		limits.CPUs = runtime.GOMAXPROCS(0)
	}
	n := 0
	if len(ids) > 0 {
		n = int(slices.Max(ids)) + 1
	}
	s := &Scheduler[ID]{
		limits: limits, tasks: make([]Task[ID], n), waits: make([]int, n), dependents: make([][]ID, n), weight: make([]int64, n),
		groups: map[string]int{},
	}
	for _, id := range ids {
		t := task(id)
		s.tasks[id] = t
		s.waits[id] = len(t.Needs)
		for _, need := range t.Needs {
			s.dependents[need] = append(s.dependents[need], id)
		}
	}
	for _, id := range slices.Backward(ids) {
		for _, d := range s.dependents[id] {
			s.weight[id] = max(s.weight[id], s.weight[d])
		}
		s.weight[id] += s.tasks[id].Expected
	}
	s.toLookUp.weight, s.toRun.weight = s.weight, s.weight
	for _, id := range ids {
		if s.waits[id] == 0 {
			heap.Push(&s.toLookUp, id)
		}
	}
	return s
}

// Dependents returns the tasks that wait for a task. The caller must not change
// the list.
func (s *Scheduler[ID]) Dependents(id ID) []ID { return s.dependents[id] }

// Idle reports whether nothing is in flight.
func (s *Scheduler[ID]) Idle() bool { return len(s.batches) == 0 && s.running == 0 }

// Release ends a task: those that waited for it only can be looked up. A task
// whose dependents must not run is not released.
func (s *Scheduler[ID]) Release(id ID) {
	for _, d := range s.dependents[id] {
		if s.waits[d]--; s.waits[d] == 0 {
			heap.Push(&s.toLookUp, d)
		}
	}
}

// Tasks that are quickly looked up go to a worker by the dozen: to wake it and
// the owner once for each of ten thousand takes longer than many a look-up.

// maxBatch is the largest number of tasks in a batch.
const maxBatch = 32

// NextBatch returns what the next worker looks up, with no more tasks than
// leaves some for the others; nil if nothing is to be looked up now. The batch is
// in flight until LookedUp.
func (s *Scheduler[ID]) NextBatch() *Batch[ID] {
	if s.toLookUp.Len() == 0 || len(s.batches) >= 2*s.limits.CPUs {
		return nil
	}
	n := min(maxBatch, 1+s.toLookUp.Len()/(4*s.limits.CPUs))
	b := &Batch[ID]{}
	for s.toLookUp.Len() > 0 && len(b.Tasks) < n {
		id := heap.Pop(&s.toLookUp).(ID)
		b.Tasks = append(b.Tasks, id)
		if !s.tasks[id].Quick {
			break
		}
	}
	s.batches = append(s.batches, b)
	s.inLookup += len(b.Tasks)
	return b
}

// LookedUp ends a batch. The rest are those of its tasks that the worker did not
// get to: they are queued again.
func (s *Scheduler[ID]) LookedUp(b *Batch[ID], rest []ID) {
	s.batches = slices.DeleteFunc(s.batches, func(other *Batch[ID]) bool { return other == b })
	s.inLookup -= len(b.Tasks)
	for _, id := range rest {
		heap.Push(&s.toLookUp, id)
	}
}

// Enqueue queues a task to run, because no result of it was found.
func (s *Scheduler[ID]) Enqueue(id ID) { heap.Push(&s.toRun, id) }

// Start chooses the task that runs next, which takes its part of the limits
// until Finished. cpus is how many processors it may keep busy. ok is false if
// nothing can run now.
func (s *Scheduler[ID]) Start() (id ID, cpus int, ok bool) {
	id = s.choose()
	if id == none || s.slots+s.slotsOf(id) > s.limits.Jobs {
		return none, 0, false
	}
	s.toRun.remove(id)
	t := &s.tasks[id]
	s.running++
	s.slots += s.slotsOf(id)
	s.memory += t.Memory
	s.groups[t.Group]++
	// The machine is divided among what runs and what is about to.
	rivals := max(1, min(s.limits.Jobs, s.slots+s.toRun.Len()+s.inLookup))
	return id, max(1, s.limits.CPUs/rivals), true
}

// Finished gives back what a running task took.
func (s *Scheduler[ID]) Finished(id ID) {
	t := &s.tasks[id]
	s.running--
	s.slots -= s.slotsOf(id)
	s.memory -= t.Memory
	s.groups[t.Group]--
}

// none is the ID of no task.
const none = -1

// slotsOf returns the job slots that a task takes. One that declares more memory
// than there is takes all of them: it runs alone.
func (s *Scheduler[ID]) slotsOf(id ID) int {
	t := &s.tasks[id]
	if s.limits.Memory > 0 && t.Memory > s.limits.Memory {
		return s.limits.Jobs
	}
	return min(max(1, t.CPU), s.limits.Jobs)
}

// choose returns the task with the longest path to the end. While that has to
// wait for memory, one that declares none goes first: it does not keep the other
// waiting.
func (s *Scheduler[ID]) choose() ID {
	best := s.first(func(ID) bool { return true })
	switch {
	case best == none || s.outweighed(best):
		return none
	case s.fits(best):
		return best
	}
	return s.first(func(id ID) bool { return s.tasks[id].Memory == 0 })
}

// first returns the first of those that may run, unless another task of its
// group runs now and a task of another group is queued or may soon be.
func (s *Scheduler[ID]) first(may func(ID) bool) ID {
	best, grouped := ID(none), ID(none)
	for i, id := range s.toRun.ids {
		if !may(id) {
			continue
		}
		if group := s.tasks[id].Group; group != "" && s.groups[group] > 0 {
			if grouped == none || s.toRun.before(id, grouped) {
				grouped = id
			}
			continue
		}
		if best == none || s.toRun.before(id, best) {
			best = id
		}
		if i == 0 {
			break // the top of the heap
		}
	}
	if best == none && s.inLookup == 0 {
		return grouped
	}
	return best
}

// outweighed reports whether a task that is being looked up takes so much longer
// than this one that it is to have the free slot, should no result be found.
func (s *Scheduler[ID]) outweighed(id ID) bool {
	for _, b := range s.batches {
		for _, other := range b.Tasks {
			if s.weight[other] > 2*s.weight[id] {
				return true
			}
		}
	}
	return false
}

// fits reports whether what runs leaves the memory that the task declares. It
// always does if nothing runs that declares any.
func (s *Scheduler[ID]) fits(id ID) bool {
	m := s.tasks[id].Memory
	return m == 0 || s.memory == 0 || s.limits.Memory <= 0 || s.memory+m <= s.limits.Memory
}
