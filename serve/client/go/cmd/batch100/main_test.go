// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestTheLastStepsOfEachMachineAreItsWindow(t *testing.T) {
	names, windows, err := read(strings.NewReader("vm,cpu,mem\nb,1,2\na,3,4\nb,5,\nb,7,8\na,9,10\n"), 2)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(names, ",") != "b,a" {
		t.Errorf("names are %v", names)
	}
	if windows[0][0][0] != 5 || !math.IsNaN(float64(windows[0][0][1])) || windows[1][1][1] != 10 {
		t.Errorf("windows are %v", windows)
	}
	for _, bad := range []string{"", "vm\n", "vm,cpu\na,x\nb,1\n", "vm,cpu\na,1\n", "vm,cpu\na,1,2\n"} {
		if _, _, err := read(strings.NewReader(bad), 2); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestQuantiles(t *testing.T) {
	times := []time.Duration{}
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i)*time.Millisecond)
	}
	if q := quantile(times, 0.5); q != 50*time.Millisecond {
		t.Errorf("p50 is %v", q)
	}
	if q := quantile(times, 0.99); q != 99*time.Millisecond {
		t.Errorf("p99 is %v", q)
	}
	if q := quantile(times[:1], 0.99); q != 100*time.Millisecond {
		t.Errorf("p99 of one is %v", q)
	}
}
