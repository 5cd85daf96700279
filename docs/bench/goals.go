package main

import (
	"fmt"
	"strings"
	"time"
)

// result gives what a contender measured, if it did.
func (c *benchCase) result(name string) (*result, bool) {
	for i := range c.results {
		if r := &c.results[i]; strings.HasPrefix(r.name, name) && len(r.walls) > 0 {
			return r, true
		}
	}
	return nil, false
}

// measured is a goal for what one contender measured.
func measured(name, text string, figure func(*result) (text string, kept bool)) goal {
	return goal{text: text, figure: func(c *benchCase) (string, bool, bool) {
		r, ok := c.result(name)
		if !ok {
			return "", false, false
		}
		got, kept := figure(r)
		return got, kept, true
	}}
}

// atMost: airbuild takes no more than factor × the other's time.
func atMost(other string, factor float64) goal {
	return measured(other, fmt.Sprintf("airbuild ≤ %g × %s", factor, other), func(r *result) (string, bool) {
		got := 1 / median(r.ratios)
		return ratio(got), got <= factor
	})
}

// atLeast: the other takes factor × airbuild's time or more.
func atLeast(other string, factor float64) goal {
	return measured(other, fmt.Sprintf("%s ≥ %g × airbuild", other, factor), func(r *result) (string, bool) {
		got := median(r.ratios)
		return ratio(got), got >= factor
	})
}

func within(name string, most time.Duration) goal {
	return measured(name, fmt.Sprintf("%s ≤ %s", name, duration(most)), func(r *result) (string, bool) {
		return duration(r.median()), r.median() <= most
	})
}

// memoryGoal: airbuild's own process stays within some megabytes.
func memoryGoal(megabytes int64) goal {
	return measured("airbuild", fmt.Sprintf("airbuild ≤ %d MB", megabytes), func(r *result) (string, bool) {
		return size(r.rss), r.rss <= megabytes*1e6
	})
}

// perRound is the median of what f makes of each round's times of the named
// contenders.
func (c *benchCase) perRound(f func(t []float64) float64, names ...string) (float64, bool) {
	var lists [][]time.Duration
	n := -1
	for _, name := range names {
		r, ok := c.result(name)
		if !ok {
			return 0, false
		}
		lists = append(lists, r.walls)
		if n < 0 || len(r.walls) < n {
			n = len(r.walls)
		}
	}
	var got []float64
	for i := range n {
		var t []float64
		for _, list := range lists {
			t = append(t, float64(list[i]))
		}
		got = append(got, f(t))
	}
	return median(got), true
}

var restoreGoal = goal{
	text: "restore ≤ 1.5 × cp of the outputs + the no-op",
	figure: func(c *benchCase) (string, bool, bool) {
		got, ok := c.perRound(func(t []float64) float64 { return t[0] / (1.5*t[1] + t[2]) },
			"airbuild, restore", "limit: cp", "airbuild, no-op")
		return ratio(got) + " of that", got <= 1, ok
	},
}

// growthGoal compares differences, which drown in the noise of a busy machine:
// then it says so and gives no verdict.
var growthGoal = goal{
	text: "10,000 more files cost ≤ 2 × their lstat, one by one",
	figure: func(c *benchCase) (string, bool, bool) {
		more := func(name string) (time.Duration, bool) {
			large, ok1 := c.result(name + ", 20,000")
			small, ok2 := c.result(name + ", 10,000")
			if !ok1 || !ok2 {
				return 0, false
			}
			return large.median() - small.median(), true
		}
		ours, ok1 := more("airbuild")
		least, ok2 := more("limit: lstat, one by one")
		switch {
		case !ok1 || !ok2:
			return "", false, false
		case ours <= 0 || least <= 0:
			return "less than the noise", false, false
		}
		got := float64(ours) / float64(least)
		return ratio(got), got <= 2, true
	},
}
