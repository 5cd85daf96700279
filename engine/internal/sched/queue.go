package sched

import (
	"container/heap"
	"slices"
)

// A queue is a heap of tasks, the one with the longest path to the end first.
type queue[ID ~int] struct {
	ids    []ID
	weight []int64
}

func (q *queue[ID]) Len() int           { return len(q.ids) }
func (q *queue[ID]) Less(i, j int) bool { return q.before(q.ids[i], q.ids[j]) }
func (q *queue[ID]) Swap(i, j int)      { q.ids[i], q.ids[j] = q.ids[j], q.ids[i] }
func (q *queue[ID]) Push(x any)         { q.ids = append(q.ids, x.(ID)) }
func (q *queue[ID]) Pop() any {
	id := q.ids[len(q.ids)-1]
	q.ids = q.ids[:len(q.ids)-1]
	return id
}

// before reports whether a comes before b. Of equal ones that with the smaller
// ID comes first, so that runs repeat.
func (q *queue[ID]) before(a, b ID) bool {
	if q.weight[a] != q.weight[b] {
		return q.weight[a] > q.weight[b]
	}
	return a < b
}

// remove takes a task out of the queue, wherever it stands.
func (q *queue[ID]) remove(id ID) { heap.Remove(q, slices.Index(q.ids, id)) }
