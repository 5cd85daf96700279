// Package human writes sizes, counts, durations and texts of others for people.
package human
