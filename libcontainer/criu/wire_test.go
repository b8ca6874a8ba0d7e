package criu

import (
	"reflect"
	"strings"
	"testing"

	"github.com/checkpoint-restore/go-criu/v7/rpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fill gives every field of a message a value of its own.
func fill(v reflect.Value, next *int32) {
	*next++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32:
		v.SetInt(int64(*next))
	case reflect.String:
		v.SetString(strings.Repeat("x", int(*next)))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), next)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), next)
		fill(v.Index(1), next)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	default:
		panic(v.Kind())
	}
}

// same compares a message of ours with the generated code's, by field numbers.
func same(t *testing.T, path string, ours reflect.Value, theirs protoreflect.Message) {
	t.Helper()
	fields := theirs.Descriptor().Fields()
	for i := range ours.NumField() {
		tag := ours.Type().Field(i).Tag.Get("criu")
		number := protoreflect.FieldNumber(0)
		for _, digit := range tag {
			number = number*10 + protoreflect.FieldNumber(digit-'0')
		}
		d := fields.ByNumber(number)
		name := path + "." + ours.Type().Field(i).Name
		if d == nil {
			t.Errorf("%s: no field %d in rpc.proto", name, number)
			continue
		}
		value, f := theirs.Get(d), ours.Field(i)
		if f.Kind() == reflect.Slice {
			for j := range f.Len() {
				sameValue(t, name, f.Index(j), value.List().Get(j), d)
			}
			continue
		}
		sameValue(t, name, f, value, d)
	}
}

func sameValue(t *testing.T, name string, f reflect.Value, value protoreflect.Value, d protoreflect.FieldDescriptor) {
	t.Helper()
	if f.Kind() == reflect.Pointer {
		f = f.Elem()
	}
	switch f.Kind() {
	case reflect.Struct:
		same(t, name, f, value.Message())
		return
	case reflect.Int32:
		var got int64
		switch d.Kind() {
		case protoreflect.EnumKind:
			got = int64(value.Enum())
		case protoreflect.Uint32Kind:
			got = int64(value.Uint())
		default:
			got = value.Int()
		}
		if got != f.Int() {
			t.Errorf("%s is %d there, %d here", name, got, f.Int())
		}
	default:
		if got := value.Interface(); got != f.Interface() {
			t.Errorf("%s is %v there, %v here", name, got, f.Interface())
		}
	}
}

// Every field has the number and the type that rpc.proto gives it.
func TestWireRequest(t *testing.T) {
	r := &request{}
	next := int32(0)
	fill(reflect.ValueOf(r).Elem(), &next)
	r.Type, *r.Options.CgroupMode, r.Options.NetworkLock = restore, 3, 2 // enumerations know no others
	theirs := &rpc.CriuReq{}
	if err := proto.Unmarshal(encode(nil, reflect.ValueOf(r).Elem()), theirs); err != nil {
		t.Fatal(err)
	}
	same(t, "request", reflect.ValueOf(r).Elem(), theirs.ProtoReflect())
}

func TestWireResponse(t *testing.T) {
	sent := &rpc.CriuResp{
		Type: rpc.CriuReqType_RESTORE.Enum(), Success: proto.Bool(true), Restore: &rpc.CriuRestoreResp{Pid: proto.Int32(4711)},
		Notify:  &rpc.CriuNotify{Script: proto.String("post-restore"), Pid: proto.Int32(12)},
		CrErrno: proto.Int32(-3), CrErrmsg: proto.String("no"), Ps: &rpc.CriuPageServerInfo{Fd: proto.Int32(4)}, Status: proto.Int32(1),
	}
	b, err := proto.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	got := &response{}
	if err := decode(b, reflect.ValueOf(got).Elem()); err != nil {
		t.Fatal(err)
	}
	want := &response{Type: restore, Success: true, Restored: processID{4711}, Notification: notification{"post-restore", 12}, Errno: -3, Message: "no"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for n := range b { // cut off anywhere it is an error or less, never a panic
		_ = decode(b[:n], reflect.ValueOf(&response{}).Elem())
	}
	for _, bad := range []string{"\x08", "\x0d\x01\x02\x03\x04", "\x4a\x05abc", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if decode([]byte(bad), reflect.ValueOf(&response{}).Elem()) == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
