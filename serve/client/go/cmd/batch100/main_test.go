// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"os"
	"path/filepath"
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

func TestWindowsAreCutOutOfADirectory(t *testing.T) {
	directory := t.TempDir()
	for name, text := range map[string]string{
		"a.csv": "time,cpu\nt0,0\nt1,1\nt2,2\nt3,3\nt4,4\n", "b.csv": "time,cpu\nt0,10\nt1,11\nt2,12\n"} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names, windows, err := open(directory, 4, 2)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(names, ",") != "a t4,b t2,a t3,b t1" {
		t.Errorf("names are %v", names)
	}
	if windows[0][0][0] != 3 || windows[2][1][0] != 3 || windows[3][0][0] != 10 {
		t.Errorf("windows are %v", windows)
	}
	if _, _, err := open(directory, 6, 2); err == nil {
		t.Error("a window beyond the start of its file was cut")
	}
	if _, _, err := open(t.TempDir(), 1, 2); err == nil {
		t.Error("an empty directory was taken")
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
